"""The stages of a study called one after the other in this process, on the files that the workflow would name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.study import load_study
from pipeline.study.plan import Plan
from tests.workflow.conftest import SMALL, TINY, write_generator

JUDGING = {key: TINY[key] for key in ("networks", "oracles")}
STUDY = {key: value for key, value in TINY.items() if key not in JUDGING}
STUDY["saliency"] = {**TINY["saliency"], "occlusion": {"method": "occlusion", "infill": "mean"}}


def write_tiny(name: str = "tiny", **sections: Any) -> Plan:
    """Write the study `tiny`, perhaps under another name and with other sections, to the working directory."""
    Path("studies").mkdir(exist_ok=True)
    Path("small.py").write_text(SMALL, encoding="utf-8")
    write_generator(Path("adm.safetensors"))
    values = {**STUDY, "study": name, **sections}
    Path(f"studies/{name}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return Plan(load_study(name))


def run_stages(plan: Plan) -> None:
    """Run every stage of a study."""
    for run in stages(plan):
        run()


def stages(plan: Plan) -> Iterator[Callable[[], None]]:
    """The jobs of a study in their order."""
    from pipeline.stages.counterfactuals import counterfactuals
    from pipeline.stages.identify import identify
    from pipeline.stages.intervene import intervene
    from pipeline.stages.judge import judge
    from pipeline.stages.metrics import metrics
    from pipeline.stages.predict import predict
    from pipeline.stages.report import report
    from pipeline.stages.saliency import saliency
    from pipeline.stages.sample import sample
    from pipeline.stages.score import score
    from pipeline.stages.score_counterfactuals import score_counterfactuals
    from pipeline.stages.score_saliency import score_saliency

    def paths(files: list[str]) -> list[Path]:
        return [Path(file) for file in files]

    def told(stage: str) -> tuple[str, str]:
        return plan.options(stage), plan.code(stage)

    def part(table: str, stage: str, shard: str) -> Path:
        return Path(plan.part(table, stage, shard))

    images, changed = paths(plan.parts("images", "sample")), paths(plan.parts("interventions", "intervene"))
    predictions, scores, store = paths(plan.parts("predictions", "predict")), paths(plan.scores()), Path(plan.store)
    identities = [Path(plan.identity(network)) for network in plan.networks]
    classifiers = list(plan.study.classifiers)
    of_all = [Path(plan.identity(name)) for name in plan.identified]
    yield lambda: identify(plan.options("identify"), of_all, plan.code("identify"))
    yield lambda: sample(*told("sample"), images, plan.sizes(plan.dataset_files()))
    for old, new, seen in zip(images, changed, predictions, strict=True):
        yield lambda old=old, new=new: intervene(*told("intervene"), old, new)
        yield lambda old=old, new=new, seen=seen: predict(*told("predict"), old, identities, store, seen, new)
    for name in classifiers:
        for shard in plan.explained_shards:
            yield lambda name=name, shard=shard: saliency(
                *told("saliency"),
                plan.explained_rows(shard),
                part("images", "sample", shard),
                part("predictions", "predict", shard),
                name,
                Path(plan.identity(name)),
                store,
                part("saliency", f"saliency/{name}", shard),
            )
    for name in classifiers:
        for shard in plan.explained_shards if plan.counterfactuals_of(name) else []:
            yield lambda name=name, shard=shard: counterfactuals(
                *told("counterfactuals"),
                plan.explained_rows(shard),
                plan.rows_before(shard),
                part("images", "sample", shard),
                part("predictions", "predict", shard),
                name,
                [Path(plan.identity(each)) for each in plan.networks_for(name)],
                store,
                part("counterfactuals", f"counterfactuals/{name}", shard),
            )
    for shard in plan.explained_shards if plan.judged() else []:
        yield lambda shard=shard: judge(
            *told("judge"), part("predictions", "predict", shard), paths(plan.counterfactuals_in(shard)),
            [Path(plan.identity(name)) for name in plan.judges], store, part("predictions", "judge", shard),
        )  # fmt: skip
    yield lambda: score(*told("score"), images, predictions, scores[0], changed)
    for name, scored in zip(classifiers, paths(plan.scores_of("score_saliency")), strict=True):
        yield lambda name=name, scored=scored: score_saliency(
            *told("score_saliency"),
            images,
            paths(plan.maps_of(name)),
            scores[0],
            name,
            scored,
            Path(plan.identity(name)),
        )
    for name, scored in zip(classifiers, paths(plan.scores_of("score_counterfactuals")), strict=False):
        yield lambda name=name, scored=scored: score_counterfactuals(
            *told("score_counterfactuals"), images, predictions, paths(plan.counterfactuals_of(name)), name,
            [Path(plan.identity(each)) for each in (name, *plan.measuring)], scored, paths(plan.judged()), changed,
        )  # fmt: skip
    yield lambda: metrics(*told("metrics"), scores, Path(plan.table("metrics")))
    yield lambda: report(
        *told("report"), images, predictions + paths(plan.judged()), scores, Path(plan.table("metrics")),
        Path(plan.page), changed, paths(plan.maps()), paths(plan.counterfactuals()),
    )  # fmt: skip


@contextmanager
def working_in(folder: Path) -> Iterator[Path]:
    """Make a folder the working directory, on the CPU, while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COUNTERFACTORY_DEVICE", "cpu")
        yield folder
