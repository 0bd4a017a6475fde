"""The published protocol and tables of Vaeth et al. 2023: figures of single cells summarised over pairs of classes.

A cell is a classifier, a setting of the method, a source class and a target class; its value is the mean over its
images. Tables 3 and 4 show means and population standard deviations over the pairs, Tables 5 to 7 what changes from one
setting, or one choice of pairs, to another.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UserError

if TYPE_CHECKING:
    import polars

CELL = ("classifier", "setting", "source_class", "target_class", "metric", "judge", "value")
FOLDER = Path("data/published")
NAMES = ("classifier", "setting", "metric", "judge")


def summarise(cells: "polars.DataFrame", pairs: Sequence[tuple], *, ddof: int = 0) -> "polars.DataFrame":
    """Mean and standard deviation over pairs of classes, for each classifier, setting, metric and judge.

    cells: a row per cell, metric and judge, with the columns of CELL; judge is the oracle, or null. pairs: the
    (source_class, target_class) to summarise. ddof: 0 for the population, as Tables 3 and 4; 1 for a sample, as Tables
    5 to 7. Where a classifier is its own oracle, mean and std are null. Adds `cells`, their number.
    Raises UserError where a cell of a pair is missing or has no value: a mean over other pairs would not compare.
    """
    import polars

    wanted = polars.DataFrame(pairs, schema=["source_class", "target_class"], orient="row")
    wanted = wanted.cast({name: cells.schema[name] for name in wanted.columns})
    chosen = cells.join(wanted, on=wanted.columns, how="semi").with_columns(
        value=polars.when(polars.col("judge").ne_missing(polars.col("classifier"))).then("value"),
        own=polars.col("judge").eq_missing(polars.col("classifier")),
    )
    refuse_incomplete(cells, chosen, len(pairs))
    return chosen.group_by(NAMES, maintain_order=True).agg(
        mean=polars.col("value").mean(), std=polars.col("value").std(ddof=ddof), cells=polars.len()
    )


def change(first: "polars.DataFrame", second: "polars.DataFrame") -> "polars.DataFrame":
    """The mean and std of `second` less those of `first`, for each classifier, metric and judge.

    first, second: from `summarise` with ddof 1, each of one setting. The difference of two standard deviations is what
    Tables 5 to 7 print beside the difference of the means; it is not the deviation of the differences.
    """
    import polars

    names = ["classifier", "metric", "judge"]
    for part in (first, second):
        if part.select(names).is_duplicated().any():
            raise ValueError(f"settings {part['setting'].unique().to_list()}; give one setting on each side")
    joined = first.join(second, on=names, how="inner", nulls_equal=True, suffix="_second", maintain_order="left")
    if not len(joined) == len(first) == len(second):
        raise UserError(
            f"the first setting has {len(first)} figures and the second {len(second)}, {len(joined)} of them alike;"
            " compute the same metrics for both, such as target_accuracy."
        )
    return joined.select(*names, *(polars.col(f"{name}_second") - polars.col(name) for name in ("mean", "std"))).rename(
        {"mean_second": "mean", "std_second": "std"}
    )


def as_table(summary: "polars.DataFrame", decimals: int = 2) -> "polars.DataFrame":
    """A row per metric and judge, a column per classifier, as printed: "0.84 ± 0.10", or "-" without a value."""
    import polars

    text = polars.format("{} ± {}", *(printed(polars.col(name), decimals) for name in ("mean", "std")))
    return summary.with_columns(text=text.fill_null("-")).pivot("classifier", index=["metric", "judge"], values="text")


def read_pairs(published: str, folder: Path = FOLDER) -> list[tuple[int, int]]:
    """The (source, target) classes of ImageNet that Vaeth et al. 2023 count as "good" (6) or "bad" (60)."""
    import polars

    if published not in ("good", "bad"):
        raise UserError(f"there are no published pairs '{published}'; use good or bad")
    pairs = polars.read_csv(Path(folder, "vaeth2023-pairs.csv"))
    return pairs.filter(published=published).select("source_class", "target_class").rows()


def read_figures(folder: Path = FOLDER) -> "polars.DataFrame":
    """The published figures, each with its setting, pairs, definition, network and source."""
    import polars

    return polars.read_csv(Path(folder, "vaeth2023-figures.csv"))


def refuse_incomplete(cells: "polars.DataFrame", chosen: "polars.DataFrame", pairs: int) -> None:
    """Raise UserError for the first group that has not exactly one value for each pair."""
    import polars

    counted = chosen.filter(polars.col("own") | polars.col("value").is_not_null()).group_by(NAMES).len("found")
    groups = cells.select(NAMES).unique(maintain_order=True).join(counted, on=NAMES, how="left", nulls_equal=True)
    wrong = groups.with_columns(polars.col("found").fill_null(0)).filter(polars.col("found") != pairs)
    if len(wrong):
        row = wrong.row(0, named=True)
        raise UserError(
            f"{row['metric']} of classifier '{row['classifier']}' in setting '{row['setting']}' has {row['found']}"
            f" values for {pairs} pairs of classes; compute one for each pair, or summarise other pairs."
        )


def printed(values: "polars.Expr", decimals: int) -> "polars.Expr":
    """Numbers as text with so many decimals; a rounded 0 has no sign."""
    return values.map_elements(lambda value: f"{round(value, decimals) + 0.0:.{decimals}f}", return_dtype=str)
