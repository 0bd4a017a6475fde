"""The bench: explanations of all kinds, controls and the ceiling in one table."""

from types import SimpleNamespace

from pipeline.report.bench import CEILING, hold_against_truth
from pipeline.report.page import environment


def row(metric, classifier, value, method=None, control=None, judge=None, concept=None):
    about = {"metric": metric, "classifier": classifier, "method": method, "control": control, "judge": judge}
    return {**about, "concept": concept, "value": value, "ci_low": value - 0.1, "ci_high": value + 0.1, "n": 5}


ROWS = [
    row("accusation_auroc", "planted", 0.9, None, CEILING),
    row("accusation_auroc", "planted", 0.7, "gradient"),
    row("accusation_auroc", "planted", 0.6, "gradient", "another image's map"),
    row("accusation_auroc", "planted", 0.8, "dvce", judge="concepts"),
    row("accusation_auroc", "planted", 0.5, None, "random map"),
    row("shortcut_found", "planted", 0.4, "gradient", concept="glasses"),
    row("false_alarm", "clean", 0.2, "gradient", concept="glasses"),
]


def results(rows):
    def metric(name, classifier, family):
        return [each for each in rows if (each["metric"], each["classifier"]) == (name, classifier)]

    return SimpleNamespace(classifiers=["planted", "clean"], metric=metric, interval_name="95 % interval")


def test_explanations_come_first_and_the_ceiling_last_each_with_another_images_beside_it():
    shown = hold_against_truth(results(ROWS))
    assert [(each["name"], each["kind"]) for each in shown["rows"]] == [
        ("gradient", "map"),
        ("dvce", "counterfactual, seen by concepts"),
        ("random map", ""),
        (CEILING, ""),
    ]
    assert [(each["metric"], each["classifier"]) for each in shown["columns"]] == [
        ("accusation_auroc", "planted"),
        ("shortcut_found", "planted"),
        ("false_alarm", "clean"),
    ]
    gradient, dvce, *_ = shown["rows"]
    assert [each and (each["value"], each["other"]) for each in gradient["cells"]] == [
        (0.7, 0.6),
        (0.4, None),
        (0.2, None),
    ]
    assert dvce["cells"][0]["other"] is None and dvce["cells"][1] is None
    assert shown["concepts"] == ["glasses"]


def test_its_template_says_of_how_many_images_a_share_is():
    said = environment().get_template("sections/bench.html").render(hold_against_truth(results(ROWS)))
    assert said.count("5\N{NO-BREAK SPACE}images") == 2 and "planted concept is glasses" in said


def test_without_accusations_there_is_no_bench():
    assert hold_against_truth(results([])) is None
