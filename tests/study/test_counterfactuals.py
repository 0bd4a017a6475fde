"""The section `counterfactuals`: what decides a row, what decides which rows there are, and targets."""

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.study.targets import near_and_far, pairs_of, read_pairs, targets_of_image
from tests.explain.declared import made

ROOT = Path(__file__).resolve().parents[2]
ADDED = {"vary": {}, "target": "next", "samples": 3, "rows": 5, "classifiers": ["a"]}


def entry(method, **options):
    """The section of a method, with the names that it must have."""
    return made(method, "counterfactuals", options)


def test_what_decides_which_rows_there_are_does_not_decide_what_is_in_one():
    assert entry("pgd", **ADDED).options() == entry("pgd").options()
    assert not ADDED.keys() & entry("pgd").options().keys()


def test_methods_name_the_networks_that_they_use():
    assert entry("dvce", cone={"helper": "robust"}).parts() == {"generator": "generator", "helper": "robust"}
    assert entry("classifier-guidance").parts() == {"generator": "generator", "guide": "guide"}
    assert entry("svce").parts() == {}


def test_targets_are_words_or_pairs(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("kind,source_class,target_class\nclose,cat,dog\nfar,cat,car\nclose,cat,fox\n")
    table = {"table": str(path), "where": {"kind": "close"}}
    found = [
        pairs_of("mine", entry("pgd", target=target))
        for target in ("second-best", {"fixed": "dog"}, {"pairs": {"cat": "dog", "dog": ["cat", "fox"]}}, table)
    ]
    assert found == ["second-best", {"*": ["dog"]}, {"cat": ["dog"], "dog": ["cat", "fox"]}, {"cat": ["dog", "fox"]}]
    counts = [targets_of_image("mine", entry("pgd", target=target)) for target in ("near", {"fixed": "a"}, table)]
    assert counts == [1, 1, 2]


@pytest.mark.parametrize(
    ("text", "where", "sentence"),
    [
        (None, {}, "; give the path of a .csv file."),
        ("from,target_class\na,b\n", {}, "has no column 'source_class'; did you mean 'target_class'?"),
        ("source_class,target_clas\na,b\n", {}, "has no column 'target_class'; did you mean 'target_clas'?"),
        ("source_class,target_class\na,b\n", {"kin": "a"}, "has no column 'kin'; its columns are"),
        ("source_class,target_class,kind\na,b,c\n", {"kind": "d"}, " has kind d; correct `where`."),
        ("", {}, "has no column 'source_class'; its columns are none"),
    ],
)
def test_a_table_of_targets_that_is_none_is_refused_in_one_sentence(text, where, sentence, tmp_path):
    path = tmp_path / "pairs.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_pairs(path, where, "mine")
    assert sentence in str(caught.value) and str(path) in str(caught.value)


def test_near_classes_of_a_look_are_one_concept_apart_and_far_ones_three(monkeypatch):
    from pipeline.worlds.portraits import LOOK_CLASSES

    monkeypatch.chdir(ROOT)
    tables = near_and_far([entry("pgd", target="far")])["look"]
    assert near_and_far([entry("pgd")]) == {}
    for word, concepts in (("near", 1), ("far", 3)):
        assert sorted(tables[word]) == sorted(LOOK_CLASSES)
        for source, (target,) in tables[word].items():
            # Classes are numbered by three bits: smile, glasses and hat.
            assert (LOOK_CLASSES.index(source) ^ LOOK_CLASSES.index(target)).bit_count() == concepts
        assert sorted(target for (target,) in tables[word].values()) == sorted(LOOK_CLASSES)
