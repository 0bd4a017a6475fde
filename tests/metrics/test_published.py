import polars
import pytest

from pipeline.errors import UserError
from pipeline.metrics.published import as_table, change, read_figures, read_pairs, summarise

PAIRS = [("cat", "dog"), ("cup", "mug")]
VALUES = {  # (classifier, setting): target accuracy of each pair, and what the oracle "weak" says
    ("weak", "plain"): ([0.2, 0.4], [1.0, 1.0]),
    ("weak", "cone"): ([0.6, 0.6], [1.0, 1.0]),
    ("strong", "plain"): ([0.5, 1.0], [0.3, 0.1]),
    ("strong", "cone"): ([0.9, 1.0], [0.2, 0.6]),
}


@pytest.fixture
def cells():
    rows = []
    for (classifier, setting), (accuracies, oracle) in VALUES.items():
        for (source, target), accuracy, agreed in zip(PAIRS, accuracies, oracle, strict=True):
            start = {"classifier": classifier, "setting": setting, "source_class": source, "target_class": target}
            rows.append({**start, "metric": "target_accuracy", "judge": None, "value": accuracy})
            rows.append({**start, "metric": "oracle_score", "judge": "weak", "value": agreed})
        rows.append({**start, "source_class": "far", "metric": "target_accuracy", "judge": None, "value": 0.0})
        rows.append({**start, "source_class": "far", "metric": "oracle_score", "judge": "weak", "value": 0.0})
    return polars.DataFrame(rows)


def row_of(table, **names):
    return table.filter(**names).row(0, named=True)


def test_means_are_over_the_pairs_asked_for_with_population_deviations(cells):
    row = row_of(summarise(cells, PAIRS), classifier="weak", setting="plain", metric="target_accuracy")
    assert (row["mean"], row["std"], row["cells"]) == (pytest.approx(0.3), pytest.approx(0.1), 2)
    sample = row_of(summarise(cells, PAIRS, ddof=1), classifier="weak", setting="plain", metric="target_accuracy")
    assert sample["std"] == pytest.approx(0.1 * 2**0.5)


def test_a_classifier_is_not_its_own_oracle(cells):
    own = row_of(summarise(cells, PAIRS), classifier="weak", setting="cone", metric="oracle_score")
    assert own["mean"] is None and own["std"] is None
    other = row_of(summarise(cells, PAIRS), classifier="strong", setting="cone", metric="oracle_score")
    assert other["mean"] == pytest.approx(0.4)


def test_changes_are_of_the_means_and_of_the_sample_deviations(cells):
    summary = summarise(cells, PAIRS, ddof=1)
    changes = change(summary.filter(setting="plain"), summary.filter(setting="cone"))
    row = row_of(changes, classifier="strong", metric="target_accuracy")
    assert row["mean"] == pytest.approx(0.95 - 0.75)
    assert row["std"] == pytest.approx((0.1 - 0.5) / 2**0.5)
    assert row_of(changes, classifier="weak", metric="oracle_score")["mean"] is None
    with pytest.raises(ValueError, match="give one setting on each side"):
        change(summary, summary)


def test_a_table_is_printed_with_classifiers_across(cells):
    table = as_table(summarise(cells, PAIRS).filter(setting="plain"))
    assert table.columns == ["metric", "judge", "weak", "strong"]
    assert table.rows() == [
        ("target_accuracy", None, "0.30 ± 0.10", "0.75 ± 0.25"),
        ("oracle_score", "weak", "-", "0.20 ± 0.10"),
    ]


def test_a_missing_cell_is_an_error_and_no_mean_over_the_rest(cells):
    short = cells.filter(~((polars.col("classifier") == "strong") & (polars.col("source_class") == "cup")))
    with pytest.raises(UserError, match="target_accuracy of classifier 'strong' in setting 'plain' has 1 values for 2"):
        summarise(short, PAIRS)
    with pytest.raises(UserError, match="has 0 values for 1"):
        summarise(cells, [("cat", "mug")])
    with pytest.raises(UserError, match="has 1 values for 2"):
        summarise(cells.with_columns(value=polars.when(polars.col("value") != 0.2).then("value")), PAIRS)


def test_settings_with_different_metrics_cannot_be_compared(cells):
    summary = summarise(cells, PAIRS, ddof=1)
    first = summary.filter(setting="plain", metric="target_accuracy")
    with pytest.raises(UserError, match="2 of them alike"):
        change(first, summary.filter(setting="cone"))


def test_the_published_pairs_are_one_close_target_per_source_and_all_others():
    good, bad = read_pairs("good"), read_pairs("bad")
    assert len(good) == 6 and len({source for source, _ in good}) == 6
    assert len(set(good) | set(bad)) == 6 * 11 and len(bad) == 60
    with pytest.raises(UserError, match="use good or bad"):
        read_pairs("ugly")


def test_every_published_figure_tells_its_source_and_none_is_a_classifier_on_itself():
    figures = read_figures()
    assert figures["source"].null_count() == 0 and figures["source"].str.len_chars().min() > 40
    assert not figures["judge"].eq(figures["classifier"]).any()
    assert set(figures["definition"]) == {"paper"}
    accuracy = figures.filter(classifier="Swin", setting="cone on, x0 on", pairs="good", metric="target_accuracy")
    assert accuracy["value"].to_list() == [0.90]
