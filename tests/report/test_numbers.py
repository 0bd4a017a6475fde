"""How numbers are written."""

import pytest

from pipeline.report.numbers import count, decimal, interval, listing, percent, points


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.0001, "less than 0.1 %"),
        (0.0156, "1.6 %"),
        (0.02, "2 %"),
        (0.0949, "9.5 %"),
        (0.0999, "10 %"),
        (0.474, "47 %"),
        (0.985, "98 %"),
        (0.9922, "99.2 %"),
        (0.9999, "more than 99.9 %"),
        (1, "100 %"),
    ],
)
def test_shares_are_percentages_that_never_round_to_none_or_all(share, text):
    assert percent(share).replace("\N{NO-BREAK SPACE}", " ") == text


def test_intervals_name_their_ends_once_with_the_unit():
    assert interval(0.39, 0.561) == "39 to 56\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(("change", "text"), [(0.31, "+31"), (-0.024, "\N{MINUS SIGN}2.4"), (0, "0"), (-0.0001, "0")])
def test_changes_carry_their_sign_unless_they_are_nothing(change, text):
    assert points(change) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (1, "1.00"),
        (0.5, "0.50"),
        (-0.25, "\N{MINUS SIGN}0.25"),
        (0.99, "0.99"),
        (0.9961, "0.996"),
        (0.99996, ">0.999"),
        (0.0001, "<0.001"),
        (-0.0001, "\N{MINUS SIGN}(<0.001)"),
    ],
)
def test_decimals_never_round_to_none_or_all(value, text):
    assert decimal(value) == text


def test_counts_and_lists_read_as_in_a_sentence():
    assert [count(1, "image"), count(1664, "image")] == ["1\N{NO-BREAK SPACE}image", "1,664\N{NO-BREAK SPACE}images"]
    assert [listing(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert listing(["a", "b", "c"], "or") == "a, b or c"
