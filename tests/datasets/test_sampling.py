from collections import Counter
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets import sampling
from pipeline.datasets.sampling import sample
from pipeline.datasets.source import Lazily, Sample, Source
from pipeline.errors import UserError


def source_of(labels, broken=(), endless=False):
    """Images "0", "1", ... whose class of the task `pet` is given in order; the broken ones have no pixels."""
    numbered = {str(index): label for index, label in enumerate(labels)}
    reads = []

    def read(image_id):
        reads.append(image_id)
        image = None if int(image_id) in broken else np.zeros((1, 1, 3), np.uint8)
        return Sample(image_id, image, None if image is not None else "the file is empty", {"pet": numbered[image_id]})

    source = Source(
        name="the folder pets (split test)",
        tasks={"pet": ("cat", "dog", "fox")},
        ids=Lazily(lambda: iter(numbered)),
        labels=lambda image_id: {"pet": numbered[image_id]},
        read=read,
        endless=endless,
    )
    return source, reads


def ids(samples):
    return [image.image_id for image in samples]


def test_the_first_candidates_are_taken_and_no_other_is_decoded():
    source, reads = source_of([0] * 100)
    assert ids(sample(source, 3)) == reads == ["0", "1", "2"]


def test_broken_images_stay_beyond_the_rows_asked_for():
    source, _ = source_of([0] * 9, broken={0, 2, 5})
    chosen = sample(source, 3)
    assert ids(chosen) == ["0", "1", "2", "3", "4"]
    assert [image.reason for image in chosen] == ["the file is empty", None, "the file is empty", None, None]


def test_classes_are_balanced_in_the_order_of_the_candidates():
    source, _ = source_of([0, 0, 0, 0, 1, 2, 1, 2, 0])
    assert ids(sample(source, 6, per_class="pet")) == ["0", "1", "4", "5", "6", "7"]


def test_rows_that_cannot_be_divided_differ_by_one_at_most():
    source, _ = source_of([2, 2, 2, 1, 1, 1, 0, 0, 0])
    classes = [image.attributes["pet"] for image in sample(source, 5, per_class="pet")]
    assert Counter(classes) == {0: 2, 1: 2, 2: 1}


def test_balancing_decodes_no_image_of_a_class_that_is_full():
    source, reads = source_of([0] * 50 + [1, 2])
    sample(source, 3, per_class="pet")
    assert reads == ["0", "50", "51"]


def test_images_without_a_label_take_no_part_in_balancing():
    source, _ = source_of([None, 0, None, 1, 2])
    assert ids(sample(source, 3, per_class="pet")) == ["1", "3", "4"]


def test_only_accepted_images_count():
    source, _ = source_of([0] * 20, broken={4})
    even = sample(source, 3, accept=lambda images: [int(image.image_id) % 4 == 2 for image in images])
    assert ids(even) == ["2", "4", "6", "10"]


def test_a_broken_image_is_never_judged():
    source, _ = source_of([0] * 4, broken={1})
    assert ids(sample(source, 3, accept=lambda images: [image.image is not None for image in images])) == list("0123")


def test_a_verdict_is_needed_for_every_image():
    source, _ = source_of([0] * 4)
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        sample(source, 3, accept=lambda images: [True])


@given(
    st.lists(st.sampled_from([0, 1, 2, None]), max_size=30),
    st.sets(st.integers(0, 29)),
    st.sets(st.integers(0, 29)),
    st.integers(3, 8),
    st.sampled_from([None, "pet"]),
    st.integers(1, 9),
)
def test_the_size_of_the_batches_changes_nothing(labels, broken, wrong, rows, per_class, batch_size):
    def chosen(batch_size):
        source, _ = source_of(labels, broken)
        accept = lambda images: [int(image.image_id) not in wrong for image in images]  # noqa: E731
        try:
            return ids(sample(source, rows, per_class, accept, batch_size))
        except UserError as error:
            return str(error)

    assert chosen(batch_size) == chosen(1)


@given(st.integers(1, 9), st.integers(0, 5))
def test_more_rows_keep_the_rows_there_were(rows, more):
    source, _ = source_of([0] * 20, broken={3, 7})
    few, many = ids(sample(source, rows)), ids(sample(source, rows + more))
    assert many[: len(few)] == few


def test_without_a_number_of_rows_every_image_is_taken():
    source, _ = source_of([0, 1, 2, None], broken={1})
    assert ids(sample(source, None)) == ["0", "1", "2", "3"]
    assert ids(sample(source, None, per_class="pet")) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("labels", "rows", "options", "sentence"),
    [
        ([0] * 5, 6, {}, r"pets \(split test\) has 5 images, but 6 are needed; set dataset.rows to 5 or fewer"),
        ([], 6, {}, "has 0 images, but 6 are needed; add images, or take another split"),
        ([], None, {}, "has 0 images, but some are needed; add images, or take another split"),
        (
            [0, 0, 1, 2, 2],
            6,
            {"per_class": "pet"},
            r'1 images of class "dog" \(task pet\), but 2 are needed; .* to 3 or',
        ),
        ([0, 0], 3, {"per_class": "pet"}, r'0 images of class "dog".*; add images'),
        (
            [0] * 5,
            6,
            {"accept": lambda images: [True] * len(images)},
            "has 5 images that the classifiers get right, but 6 are needed",
        ),
        ([0] * 5, 0, {}, "dataset.rows is 0; ask for at least one image"),
        ([0] * 5, 2, {"per_class": "pet"}, "dataset.rows is 2, but the task pet has 3 classes; set rows to 3 or more"),
        ([0] * 5, 3, {"per_class": "pets"}, r'dataset.per_class is "pets" \(did you mean "pet"\?\); the tasks of'),
    ],
)
def test_too_few_images_are_counted_in_one_sentence(labels, rows, options, sentence):
    source, _ = source_of(labels)
    with pytest.raises(UserError, match=sentence) as error:
        sample(source, rows, **options)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_broken_images_are_not_counted_among_those_there_are():
    source, _ = source_of([0] * 5, broken={1, 3})
    with pytest.raises(
        UserError, match=r"has 3 images besides 2 broken ones, but 4 are needed; set dataset.rows to 3 or"
    ):
        sample(source, 4)


def test_an_endless_source_needs_a_number_of_rows():
    source, _ = source_of([0], endless=True)
    with pytest.raises(UserError, match="has no end; say how many images to take"):
        sample(source, None)


def test_an_endless_source_without_a_class_is_given_up(monkeypatch):
    monkeypatch.setattr(sampling, "PATIENCE", 50)
    source = Source(
        name="the world pets",
        tasks={"pet": ("cat", "dog")},
        ids=Lazily(lambda: map(str, count())),
        labels=lambda image_id: {"pet": 0},
        read=lambda image_id: Sample(image_id, np.zeros((1, 1, 3), np.uint8)),
        endless=True,
    )
    with pytest.raises(UserError, match=r'0 images of class "dog" .* among 50 candidates in a row'):
        sample(source, 2, per_class="pet")
    assert len(sample(source, 200)) == 200
