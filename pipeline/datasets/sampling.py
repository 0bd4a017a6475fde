"""Choose the images of a study among the candidates of a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from pipeline.datasets.hints import meant
from pipeline.datasets.source import Sample, Source
from pipeline.errors import UserError

BATCH = 32

# An endless source is given up after so many candidates without a row.
PATIENCE = 10_000


def sample(
    source: Source,
    rows: int | None,
    per_class: str | None = None,
    accept: Callable[[list[Sample]], Sequence[bool]] | None = None,
    batch_size: int = BATCH,
) -> list[Sample]:
    """The first images, in the order of the source, that make the rows asked for.

    rows: None takes every image of a finite source. per_class: a task whose classes get equally many rows (the first
    classes one more, where the rows cannot be divided). accept: says which of some images are good enough, for example
    those that a classifier gets right; it is asked in batches, whose size changes nothing but speed.
    Broken images on the way stay in the result, with their reason, beyond the rows asked for.
    UserError, saying how many images there are, when they are too few.
    """
    wanted = _quotas(source, rows, per_class)
    taken: Counter[int | None] = Counter()
    kept: list[Sample] = []
    group = _group(source, per_class)
    for batch in _batches(source, group, wanted, taken, batch_size if accept else 1):
        samples = [source.read(image_id) for image_id in batch]
        accepted = _accepted(samples, accept)
        for image in samples:
            of_class = group(image.image_id)
            if taken[of_class] == wanted[of_class]:
                continue
            if image.image_id in accepted:
                taken[of_class] += 1
                kept.append(image)
            elif image.image is None:
                kept.append(image)
            if taken.total() == sum(wanted.values()):
                return kept
    if rows is None and taken.total():
        return kept
    broken = sum(image.image is None for image in kept)
    raise UserError(_too_few(source, rows, per_class, wanted, taken, broken=broken, judged=accept is not None))


def _quotas(source: Source, rows: int | None, per_class: str | None) -> dict[int | None, float]:
    """How many rows each class gets; without per_class all rows are of the one class None."""
    if rows is not None and rows < 1:
        raise UserError(f"dataset.rows is {rows}; ask for at least one image, for example rows: 24.")
    if rows is None and source.endless:
        raise UserError(f"{source.name} has no end; say how many images to take, for example dataset.rows: 24.")
    if per_class is None:
        return {None: float("inf") if rows is None else rows}
    if per_class not in source.tasks:
        there = ", ".join(source.tasks) or "none: it is without labels"
        raise UserError(
            f'dataset.per_class is "{per_class}"{meant(per_class, source.tasks)}; '
            f"the tasks of {source.name} are {there}."
        )
    count = len(source.tasks[per_class])
    if rows is None:
        return dict.fromkeys(range(count), float("inf"))
    if rows < count:
        raise UserError(
            f"dataset.rows is {rows}, but the task {per_class} has {count} classes; set rows to {count} or more, "
            "or leave per_class out."
        )
    return {index: rows // count + (index < rows % count) for index in range(count)}


def _group(source: Source, per_class: str | None) -> Callable[[str], int | None]:
    if per_class is None:
        return lambda image_id: None
    return lambda image_id: source.labels(image_id)[per_class]


def _batches(source: Source, group: Callable, wanted: dict, taken: Counter, batch_size: int) -> Iterator[list[str]]:
    """Batches of candidates whose class still wants rows; `taken` grows between two batches."""
    batch: list[str] = []
    waited, before = 0, 0
    for image_id in source.ids:
        if taken.total() > before:
            waited, before = 0, taken.total()
        waited += 1
        if source.endless and waited > PATIENCE:
            break
        of_class = group(image_id)
        if of_class in wanted and taken[of_class] < wanted[of_class]:
            batch.append(image_id)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _accepted(samples: list[Sample], accept: Callable[[list[Sample]], Sequence[bool]] | None) -> set[str]:
    """The ids of the images that are neither broken nor turned down."""
    whole = [image for image in samples if image.image is not None]
    if accept is None or not whole:
        return {image.image_id for image in whole}
    return {image.image_id for image, good in zip(whole, accept(whole), strict=True) if good}


def _too_few(
    source: Source, rows: int | None, per_class: str | None, wanted: dict, taken: Counter, *, broken: int, judged: bool
) -> str:
    """What is missing, and the largest number of rows that there are images for."""
    # Of the classes that lack rows this is one with the fewest; without per_class it is the class None of all images.
    short = min(wanted, key=lambda index: (taken[index], index))
    most = taken[short] * len(wanted)
    there = f"{taken[short]} images"
    if per_class is not None:
        there += f' of class "{source.tasks[per_class][short]}" (task {per_class})'
    if judged:
        there += " that the classifiers get right"
    if broken:
        there += f" besides {broken} broken ones"
    if source.endless:
        there += f" among {PATIENCE:,} candidates in a row"
    needed = "some are needed" if rows is None else f"{wanted[short]} are needed"
    remedy = f"set dataset.rows to {most} or fewer, or add images" if most else "add images, or take another split"
    return f"{source.name} has {there}, but {needed}; {remedy}."
