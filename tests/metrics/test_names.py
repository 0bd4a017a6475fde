"""Everything that is said of a metric is said once, in METRICS, and whatever needs it finds it there."""

import ast
from pathlib import Path

import pytest

from pipeline.metrics.names import METRICS, measures, over_rows

FAMILIES = {"classifiers", "saliency", "counterfactuals", "directions", "accusations"}


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_all_that_is_said_of_one(metric):
    known = METRICS[metric]
    assert known.family in FAMILIES and (known.question is None) == (known.family != "counterfactuals")
    assert known.summary in ("share", "mean", None) and known.better in ("higher", "lower", None)
    assert known.label and known.meaning and known.values
    # The page puts the full stop after a meaning, and knows no Markdown.
    assert not known.meaning.endswith(".") and "`" not in known.label + known.meaning + known.paper
    assert not known.details or known.details.endswith(".")


def test_names_over_rows_and_labels_are_of_one_metric_each():
    assert len({over_rows(metric) for metric in METRICS}) == len(METRICS)
    assert len({known.label for known in METRICS.values()}) == len(METRICS)


def test_methods_are_compared_by_what_has_a_better_way():
    assert {"truth_mass", "removal_auc"} <= measures("saliency").keys()
    assert not {"coverage_flipping", "truth_fill_flip_rate", "target_accuracy"} & measures("saliency").keys()
    assert list(measures("counterfactuals", "cost")) == ["network_evaluations"]


def test_what_is_known_of_metrics_is_read_without_loading_any_of_them():
    tree = ast.parse(Path("pipeline/metrics/names.py").read_text(encoding="utf-8"))
    found = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert found == ["typing"] and not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
