"""Failures and provenance: what went wrong, and where every table comes from."""

import html
import re


def section(page: str, name: str) -> str:
    return page.split(f'id="{name}"')[1].split("</section>")[0]


def test_page_says_that_nothing_failed(study):
    assert "None: every row of every table was computed." in section(study.build(), "failures")


def test_failures_are_listed_by_table_with_reason_number_and_rows(study):
    broken = {"a.jpg": "the file is cut short", "b.pdf": "it is no image", "c.jpg": "the file is cut short"}
    images = [
        {"row_id": name, "image_id": name, "split": "test", "status": "failed", "reason": reason}
        for name, reason in broken.items()
    ]
    study.rewrite("images", images)
    row = {"row_id": "flips/1", "status": "failed", "reason": "no prediction", "family": "classifiers"}
    study.rewrite("scores", [{**row, "metric": "flips"}])
    found = section(study.build(examples=0), "failures")
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in found.split("<tr>")[2:]]
    assert [cells[:3] for cells in rows] == [
        ["images", "2", "the file is cut short"],
        ["images", "1", "it is no image"],
        ["scores", "1", "no prediction"],
    ]
    assert re.findall("<code>(.*?)</code>", found) == ["a.jpg", "c.jpg", "b.pdf", "flips/1"]


def test_provenance_names_stage_rows_code_seed_weights_and_options(study):
    found = section(study.build(), "provenance")
    tables = dict(zip(re.findall(r"<b>(\w+)</b>", found), found.split("<details")[1:], strict=True))
    assert list(tables) == ["images", "interventions", "predictions", "scores", "metrics"]
    predictions = tables["predictions"]
    assert "stage predict" in predictions and "seed 2026" in predictions
    assert '<code title="' + ("0123456789abcdef" * 4)[::-1] + '">fedcba987654</code>' in predictions
    assert re.search(r'smile-cnn <code title="[^"]*sha256:[0-9a-f]{64}[^"]*">0123456789ab</code>', predictions)
    assert re.search(r"1,120\srows", predictions)
    assert '"confidence": 0.95' in html.unescape(tables["metrics"])


def test_parts_of_one_origin_are_one_line(study_in_parts):
    found = section(study_in_parts.build(), "provenance")
    assert found.count("<details") == 5
    assert re.search(r"8\srows in 2\sparts", found)
