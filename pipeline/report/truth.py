"""What a classifier truly depends on, told from the rates at which interventions flip its decision."""

from dataclasses import dataclass

from pipeline.report.results import Results, Row

# The share of flipped images that still counts as none: images that lie on the border between two classes flip by
# anything. A classifier depends on a concept where the whole interval lies above it.
NOTABLE = 0.02


@dataclass(frozen=True)
class Dependence:
    """The flip rates of one classifier, rows of the metrics, by what they say; each list from high to low.

    depends: the interval lies above NOTABLE. undecided: the rate does, the interval does not (or there is none).
    others: the rate is at most NOTABLE.
    """

    classifier: str
    depends: list[Row]
    undecided: list[Row]
    others: list[Row]

    @property
    def rows(self) -> list[Row]:
        """All flip rates."""
        return [*self.depends, *self.undecided, *self.others]

    @property
    def concepts(self) -> list[str]:
        """The concepts that the classifier depends on."""
        return [row["concept"] for row in self.depends]


def dependence(results: Results, classifier: str) -> Dependence:
    """Sort the flip rates of a classifier by whether it depends on the concept."""
    found = Dependence(classifier, [], [], [])
    rows = results.metric("intervention_flip_rate", classifier)
    for row in sorted(rows, key=lambda row: -row["value"]):
        if row["value"] <= NOTABLE:
            found.others.append(row)
        elif row["ci_low"] is not None and row["ci_low"] > NOTABLE:
            found.depends.append(row)
        else:
            found.undecided.append(row)
    return found


def dependences(results: Results) -> list[Dependence]:
    """What each classifier depends on, for those whose flip rates are known."""
    found = [dependence(results, classifier) for classifier in results.classifiers]
    return [each for each in found if each.rows]
