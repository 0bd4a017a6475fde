"""Every metric has all that is said of it: a summary, which way is better, a label, a line in the documentation."""

from pathlib import Path

import pytest

from pipeline.report.counterfactual_measures import MINIMAL, MORE, TRUTH
from pipeline.report.saliency import MEASURES
from pipeline.stages.summaries import SUMMARIES

LABELS = (MEASURES, MINIMAL, TRUTH, MORE)
OF_CLASSIFIERS = {"accuracy"}  # which have a section of their own, and are not compared
DOCUMENTS = [Path("docs/metrics.md"), Path("docs/how-it-works.md")]
BETTER = {summary.metric: summary.better for summary in SUMMARIES.values()}


@pytest.mark.parametrize("labels", LABELS)
def test_every_column_of_the_report_is_of_a_metric_and_agrees_which_way_is_better(labels):
    assert {metric: measure.better for metric, measure in labels.items()} == {
        metric: BETTER.get(metric, "no such metric") for metric in labels
    }


def test_every_metric_by_which_methods_are_compared_has_a_label():
    compared = {metric for metric, better in BETTER.items() if better is not None}
    assert compared - OF_CLASSIFIERS == {metric for labels in LABELS for metric in labels}


def test_every_metric_is_documented():
    said = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    assert [metric for metric in BETTER if f"`{metric}`" not in said] == []
