"""Show the results of a study on one page that opens offline."""

from pathlib import Path
from urllib.parse import quote

from pipeline.files import appearing
from pipeline.report.dependence import figures
from pipeline.report.page import build_page
from pipeline.report.results import read_results
from pipeline.stages.common import job, provenance, read_options


def report(
    options: str,
    code: str,
    images: list[Path],
    predictions: list[Path],
    scores: list[Path],
    metrics: Path,
    page: Path,
    interventions: list[Path] | None = None,
    saliency: list[Path] | None = None,
    counterfactuals: list[Path] | None = None,
    directions: list[Path] | None = None,
) -> None:
    """Write the page, and its charts as SVG files to the folder `figures` beside it."""
    files = {
        "images": images,
        "interventions": interventions or [],
        "predictions": predictions,
        "saliency": saliency or [],
        "counterfactuals": counterfactuals or [],
        "directions": directions or [],
        "scores": scores,
        "metrics": [metrics],
    }
    chosen = read_options("report", options)
    with job("report", chosen.study, page) as account, account.clock("compute"):
        results = read_results(chosen, files)
        for name, drawing in figures(results).items():
            write_text(page.parent / "figures" / f"{quote(name, safe=' ')}.svg", drawing)
        write_text(page, build_page(results, provenance("report", chosen, code, files)))


def write_text(path: Path, text: str) -> None:
    with appearing(path) as hidden:
        hidden.write_text(text, encoding="utf-8")
