"""What is known of the jobs of a study beforehand is what its rules say."""

import re
from collections.abc import Iterator

import pytest

from pipeline.study import load_study
from pipeline.workflow.plan import Plan
from tests.workflow.conftest import TINY, write_autoencoder

MORE = {
    "dataset": {**TINY["dataset"], "rows": 7},  # so that of three parts the last has nothing to explain
    "classifiers": {**TINY["classifiers"], "other": {**TINY["classifiers"]["small"], "temperature": 3.0}},
    "counterfactuals": {
        **TINY["counterfactuals"],
        "confused": {"method": "pgd", "iterations": 2, "target": "most-confused", "classifiers": ["small"]},
        "where": {
            **{"method": "region-guidance", "generator": "adm", "steps": 4, "skip": 1, "classifiers": ["other"]},
            "region": {"saliency": "fido"},
        },
    },
    "generators": {**TINY["generators"], "dae": {"file": "dae.safetensors"}},
    "directions": {"gcd": {"method": "gcd", "autoencoder": "dae", "classifiers": ["small"]}},
    "attributions": {"bb-lig": {"method": "bb-lig", "direction": "gcd", "classifiers": ["small"]}},
}


@pytest.mark.parametrize("study", ["tiny", "photos"])
def test_the_jobs_of_a_study_are_those_of_its_rules_with_the_same_files(tiny, study, monkeypatch):
    monkeypatch.chdir(tiny.folder)
    write_autoencoder(tiny.folder / "dae.safetensors")
    values = {**TINY, **MORE}
    if study == "photos":
        (tiny.folder / "photos").mkdir()
        (tiny.folder / "photos" / "a.png").write_bytes(b"not looked at")
        values |= {"study": "photos", "dataset": {"folder": "photos", "size": 32, "rows": 7}}
    tiny.write_study(values)
    plan = Plan(load_study(study))
    said = tiny.run(study, "--dry-run")
    assert said.returncode == 0, said.stdout + said.stderr
    tables = set(plan.outputs())
    by_rules = {made: tables.intersection(taken) for made, taken in planned_jobs(said.stdout + said.stderr)}
    by_plan = {
        tuple(job.outputs): {part for parts in job.inputs.values() for part in parts}
        | set(map(plan.identity, job.networks))
        for job in plan.all_jobs()
    }
    assert by_plan == by_rules


def planned_jobs(said: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """The outputs and inputs of the jobs that a dry run lists, but of rules that only name targets."""
    for lines in re.findall(r"^(?:local)?rule \w+:\n((?:    .*\n)+)", said, re.MULTILINE):
        fields = dict(line.strip().partition(": ")[::2] for line in lines.splitlines())
        if "output" in fields:
            yield tuple(fields["output"].split(", ")), fields.get("input", "").split(", ")
