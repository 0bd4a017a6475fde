"""The steps of the study, each after those that it reads from, with what they wrote."""

from pipeline.report.results import Results


def list_steps(results: Results) -> dict:
    """One entry for each step: what it does, the steps that it reads from, the rows that it wrote if known."""
    return {"steps": [{**step.model_dump(), **written(results, step.name)} for step in results.options.steps]}


def written(results: Results, stage: str) -> dict:
    """Rows of the parts that a stage wrote, as far as this page is made from them, and how many of them failed."""
    parts = [part for part in results.parts if part.provenance.get("stage") == stage]
    return {
        "rows": sum(part.rows for part in parts),
        "failed": sum(part.failed for part in parts),
        "known": bool(parts),
    }
