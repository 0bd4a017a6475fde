"""The jobs of a study as its rules wire them: what each writes, and what it is made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import UserError
from pipeline.study.plan import Plan


@dataclass(frozen=True)
class Job:
    """One job of a rule.

    inputs: the parts of each table that it is made from, in the order in which the rule names them. networks: those
    whose identities it is given. given: what else decides its rows, beside options and code.
    """

    stage: str
    outputs: list[str]
    inputs: dict[str, list[str]] = field(default_factory=dict)
    networks: list[str] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)


def jobs_of(plan: Plan) -> Iterator[Job]:
    """All jobs of a study but those of training, each after those that it takes from."""
    images, predictions = plan.parts("images", "sample"), plan.parts("predictions", "predict")
    changed = plan.parts("interventions", "intervene") if plan.has_truth else []
    seen = {"images": images, "interventions": changed}
    yield Job("identify", [plan.identity(name) for name in plan.identified])
    yield Job("sample", images, networks=list(plan.study.dataset.correct), given={"files": sizes_of_files(plan)})
    for shard, image in zip(plan.shards, images, strict=True):
        of_shard = {"images": [image], "interventions": changed and [plan.part("interventions", "intervene", shard)]}
        if changed:
            yield Job("intervene", of_shard["interventions"], {"images": [image]})
        yield Job("predict", [plan.part("predictions", "predict", shard)], of_shard, list(plan.networks))
    for classifier in plan.study.classifiers:
        yield from explaining(plan, classifier)
    for shard, judged in zip(plan.explained_shards, plan.judged(), strict=False):
        inputs = {"counterfactuals": plan.counterfactuals_in(shard)}
        inputs["predictions"] = [plan.part("predictions", "predict", shard)]
        yield Job("judge", [judged], inputs, plan.judges)
    truth = plan.table("scores")
    yield Job("score", [truth], {**seen, "predictions": predictions})
    said = [*predictions, *plan.judged()]
    for classifier in plan.study.classifiers:
        if maps := plan.maps_of(classifier):
            stage, inputs = "score_saliency", {"images": images, "saliency": maps, "scores": [truth]}
            yield Job(stage, [plan.scores_part(stage, classifier)], inputs, [classifier, *plan.judging_fillers])
        if made := plan.counterfactuals_of(classifier):
            stage, inputs = "score_counterfactuals", {**seen, "predictions": said, "counterfactuals": made}
            yield Job(stage, [plan.scores_part(stage, classifier)], inputs, [classifier, *plan.measuring])
    yield Job("metrics", [plan.table("metrics")], {"scores": plan.scores()})
    explained = {"saliency": plan.maps(), "counterfactuals": plan.counterfactuals()}
    scored = {"scores": plan.scores(), "metrics": [plan.table("metrics")]}
    yield Job("report", [plan.page], {**seen, "predictions": said, **explained, **scored})


def sizes_of_files(plan: Plan) -> str:
    """What is known of the dataset's files beforehand; nothing where they are gone, which a run will say."""
    try:
        return plan.sizes(plan.dataset_files())
    except UserError:
        return ""


def explaining(plan: Plan, classifier: str) -> Iterator[Job]:
    """The jobs that explain a classifier."""
    for stage, parts in (("saliency", plan.maps_of), ("counterfactuals", plan.counterfactuals_of)):
        for shard, part in zip(plan.explained_shards, parts(classifier), strict=False):
            inputs = {"images": [plan.part("images", "sample", shard)]}
            inputs["predictions"] = [plan.part("predictions", "predict", shard)]
            given = {"rows": plan.explained_rows(shard)}
            if stage == "saliency":
                yield Job(stage, [part], inputs, [classifier, *plan.fillers_for(classifier)], given)
            else:
                inputs["predictions"] += plan.confusions(classifier)
                given["before"] = plan.rows_before(shard)
                yield Job(stage, [part], inputs, plan.networks_for(classifier), given)
