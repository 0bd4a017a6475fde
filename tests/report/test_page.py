"""The page as a whole: what it says, and that it stands alone."""

import html
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from pipeline.errors import UserError
from pipeline.fingerprint import ROOT
from pipeline.report.page import SECTIONS, TEMPLATES
from pipeline.report.provenance import read_page_provenance
from pipeline.tables import digest_of

EVIL = "<evil a='1'>&\"$x$"


class Elements(HTMLParser):
    """Every element of a page, and whether all that are opened are closed again."""

    EMPTY = ("meta", "img", "br", "link", "input")

    def __init__(self, page: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"


def words(page: str) -> str:
    """The text of a page, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())


@pytest.fixture
def flip_rates(study, metric_row):
    """The study with flip rates that are given by hand."""
    rates = {"smile": (0.47, 0.39, 0.56), "glasses": (0.53, 0.45, 0.62), "hat": (0.0156, 0, 0.04), "hair": (0, 0, 0.03)}

    def write(**changed) -> None:
        rows = [
            metric_row("intervention_flip_rate", "smile-shortcut", *numbers, n=128, concept=concept)
            for concept, numbers in {**rates, **changed}.items()
        ]
        study.rewrite("metrics", rows, options={"confidence": 0.95})

    return write


def test_page_says_what_a_classifier_depends_on_with_numbers_and_intervals(study, flip_rates):
    flip_rates()
    text = words(study.build())
    assert "smile-shortcut depends on glasses and smile" in text
    assert (
        "Changing glasses flips 53 % of the images (95 % interval 45 to 62 %), smile 47 % (39 to 56 %);"
        " no other concept flips more than 1.6 % (intervals up to 4 %)." in text
    )
    assert "Its task is smile alone, so glasses is a shortcut." in text


def test_classifier_that_looks_at_its_task_alone_has_no_shortcut(study, flip_rates):
    flip_rates(glasses=(0.0, 0.0, 0.03), hat=(0.0, 0.0, 0.03))
    text = words(study.build())
    assert "Changing smile flips 47 % of the images (95 % interval 39 to 56 %); no other concept flips any" in text
    assert "That is its task: it is not shown to use a shortcut." in text


def test_rate_whose_interval_reaches_below_the_threshold_is_undecided(study, flip_rates):
    flip_rates(hat=(0.05, 0.01, 0.09))
    text = words(study.build())
    assert "smile-shortcut depends on glasses and smile" in text
    assert "hat 5 % (1 to 9 %: undecided); no other concept flips any (intervals up to 3 %)." in text


def test_classifier_that_nothing_flips_depends_on_nothing(study, flip_rates):
    flip_rates(smile=(0.01, 0, 0.03), glasses=(0.0, 0, 0.03))
    text = words(study.build())
    assert "smile-shortcut is not shown to depend on any of these concepts" in text
    assert "Changing one concept flips at most 1.6 % of the images (intervals up to 4 %)." in text
    assert "It is not shown to look at smile, which is its task." in text


def test_metrics_that_are_missing_are_not_invented(study):
    study.rewrite("metrics", [])
    page = study.build()
    assert "The metrics hold no flip rates of it." in words(page)
    assert 'id="dependence"' not in page and 'id="accuracy"' not in page


def test_failed_metrics_are_shown_as_failures_only(study, metric_row):
    row = metric_row("intervention_flip_rate", "smile-cnn", 0.987, 0.9, 1.0, 128, "smile")
    study.rewrite("metrics", [{**row, "status": "failed", "reason": "2 of 8 images were not judged"}])
    page = study.build()
    assert "2 of 8 images were not judged" in page and "98.7" not in page


def test_accuracy_is_shown_for_every_network_and_every_concept_of_a_reader(study, metric_row):
    rows = [metric_row("accuracy", name, 0.9, 0.8, 0.95, 64) for name in ("smile-cnn", "smile-shortcut", "smile-vit")]
    rows += [metric_row("accuracy", "concepts", 0.72, 0.6, 0.81, 64, concept) for concept in ("hat", "hair")]
    study.rewrite("metrics", rows)
    section = words(study.build().split('id="accuracy"')[1].split("</section>")[0])
    assert "smile-vit oracle smile (absent or present) 90 % 80 to 95 % 64" in section
    assert "concepts reader hat (absent or present) 72 % 60 to 81 % 64" in section
    assert "concepts reader hair (black, red, blond or white) 72 %" in section


def test_study_without_interventions_says_so_and_leaves_out_the_truth(folder_study):
    page = folder_study.build()
    assert "there are no interventions, and what a classifier truly depends on is not shown" in words(page)
    assert re.search(r"smile-cnn is right on \d+ % of the images", words(page))
    assert 'id="dependence"' not in page and "flips" not in words(page.split("<main>")[1].split("<script>")[0])
    assert not (folder_study.page.parent / "figures").exists()


def test_page_needs_no_other_file_and_no_network(study):
    page = study.build()
    for tag, attributes in Elements(page).found:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert re.match(r"#|data:image/png;base64,", attributes.get(name, "#")), (tag, attributes)
    assert "http:" not in page and "https:" not in page and "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_page_is_well_formed_and_its_ids_are_unique(study):
    found = Elements(study.build()).found
    repeated = [name for name, times in Counter(a["id"] for _, a in found if "id" in a).items() if times > 1]
    assert not repeated
    ids = {attributes.get("id") for _, attributes in found}
    targets = [value for _, a in found for name, value in a.items() if name in ("href", "xlink:href")]
    assert targets and {target.removeprefix("#") for target in targets} <= ids
    assert all(attributes.get("alt") for tag, attributes in found if tag == "img")


def test_equal_tables_give_equal_bytes_in_another_process_from_the_command_line(map_study):
    study = map_study
    study.build()
    once = {path.name: path.read_bytes() for path in study.page.parent.rglob("*.[hs]*")}
    again = study.folder / "again" / "index.html"
    files = [f"--{name} {' '.join(map(str, f if isinstance(f, list) else [f]))}" for name, f in study.files.items()]
    arguments = [*" ".join(files).split(), "--page", str(again), "--options", study.options_text(), "--code", "code"]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-m", "pipeline", "report", *arguments], check=True, env=environment, cwd=ROOT)
    assert {path.name: path.read_bytes() for path in again.parent.rglob("*.[hs]*")} == once
    assert set(once) == {"index.html", "flips-smile-cnn.svg", "flips-smile-shortcut.svg"}


def test_stage_loads_nothing_heavy_before_it_draws():
    loaded = (
        "import sys, pipeline.stages.report; print(*{'torch', 'matplotlib', 'networkx', 'polars'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_names_from_the_study_are_text_and_never_markup(study, metric_row):
    row = metric_row("intervention_flip_rate", EVIL, 0.5, 0.4, 0.6, 8, concept=EVIL)
    effect = metric_row("average_causal_effect", EVIL, 0.5, 0.4, 0.6, 8, concept=EVIL, target_class=EVIL)
    study.rewrite("metrics", [row, effect, metric_row("accuracy", EVIL, 0.5, 0.4, 0.6, 8)], inputs=[EVIL])
    study.rewrite("scores", [{"row_id": EVIL, "status": "failed", "reason": EVIL, "family": "checks", "metric": "x"}])
    study.rename_classifier("smile-cnn", EVIL)
    page = study.build(title=EVIL, study=EVIL, roles={"classifiers": [EVIL], "oracles": [], "readers": []})
    assert "<evil" not in page and page.count("&lt;evil") > 10
    assert html.escape(EVIL) in page.split("<h1>")[1].split("</h1>")[0].replace("&#34;", "&quot;").replace(
        "&#39;", "&#x27;"
    )
    Elements(page)
    drawing = next((study.page.parent / "figures").glob("*.svg")).read_text()
    assert EVIL in ElementTree.fromstring(drawing).itertext()


def test_title_stands_in_for_the_name_of_the_study(study):
    assert "<h1>Study tiny</h1>" in study.build()
    page = study.build(title="What smiles are made of")
    assert "<h1>What smiles are made of</h1>" in page and "on the study tiny" in page


def test_every_section_has_one_template():
    assert sorted(SECTIONS) == sorted(path.stem for path in (TEMPLATES / "sections").glob("*.html"))


def test_table_that_is_damaged_is_named_and_leaves_the_old_page(study):
    before = study.build()
    study.files["metrics"].write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError, match=r"metrics\.parquet"):
        study.build()
    assert study.page.read_text(encoding="utf-8") == before


def test_the_page_carries_what_it_follows_from_also_where_a_name_looks_like_its_end(study):
    study.build(title="</script><b>")
    told = read_page_provenance(study.page)
    assert told["options"]["title"] == "</script><b>" and told["code"] == "code"
    assert told["inputs"]["images"] == digest_of(study.files["images"])
    assert set(told["inputs"]) == {name for name, parts in study.files.items() if parts}
    before = told["inputs"]
    study.rewrite("metrics", [])
    study.build()
    after = read_page_provenance(study.page)["inputs"]
    assert [table for table in before if before[table] != after[table]] == ["metrics"]
