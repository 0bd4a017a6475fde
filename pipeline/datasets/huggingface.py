"""A Hugging Face dataset: a name on the Hub, a folder written by `save_to_disk`, or Parquet or Arrow files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.datasets import files
from pipeline.datasets.decode import BrokenImage, decode_image
from pipeline.datasets.hints import meant
from pipeline.datasets.hub import load_from_hub
from pipeline.datasets.labels import encode_labels, index_labels, task_classes, task_columns
from pipeline.datasets.source import Lazily, Sample, Source, in_order, safe_id
from pipeline.datasets.splits import check_shares, check_split, own_split, split_of
from pipeline.datasets.transform import Transform, colour, transform_image
from pipeline.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

FILE_KINDS = {".parquet": "parquet", ".arrow": "arrow"}


def read(options: Mapping, split: str, seed: int) -> Source:
    """The images of a Hugging Face dataset in one split of ours.

    An image's id is the dataset's name, its own split and the row (or the value of `id_column`). Our splits are the
    dataset's own where it has them; where several of ours share one, the hash of the image's bytes divides it. Class
    names come from ClassLabel columns, else from the values in all splits. UserError for what is missing or unusable.
    """
    name = options["huggingface"]
    plan = Transform.from_options(options)
    check_split(split)
    splits = _load(options)
    where = f'the dataset "{name}"'
    own, shares = own_split(split, splits, options["splits"], check_shares(options["shares"]), where)
    tasks, codes = _labels(splits, own, options)
    rows = _with_files(splits[own], options["image_column"], where)
    index = _ids(rows, own, options)
    captions = _column(rows, options["caption_column"], "caption_column", where) if options["caption_column"] else None

    def ids() -> Iterator[str]:
        ordered = in_order(index, seed)
        if shares[split] == 1:
            return iter(ordered)
        return (image_id for image_id in ordered if split_of(content(image_id), shares) == split)

    def labels(image_id: str) -> dict[str, int | None]:
        return {task: column[index[image_id]] for task, column in codes.items()}

    def file_of(image_id: str) -> bytes:
        return _file_of(rows[index[image_id]][options["image_column"]], f"{where}, image {image_id},")

    def content(image_id: str) -> str:
        try:
            return hashlib.sha256(file_of(image_id)).hexdigest()
        except BrokenImage:
            # A row without an image is a broken row of some split, not a crash.
            return image_id

    def read_image(image_id: str) -> Sample:
        caption = captions[index[image_id]] if captions else None
        known = {"attributes": labels(image_id), "caption": None if caption is None else str(caption)}
        try:
            pixels = decode_image(file_of(image_id), colour(plan.background))
        except BrokenImage as broken:
            return Sample(image_id, None, f"{where}, row {index[image_id]} of {own}: {broken}", **known)
        return Sample(image_id, transform_image(pixels, plan), **known)

    return Source(f"{where} (split {split})", tasks, Lazily(ids), labels, read_image)


def manifest(options: Mapping) -> str:
    """JSON of the files of a local dataset; for one on the Hub empty: there `revision` says what is read."""
    return files.manifest(Path(options["huggingface"]))


def _load(options: Mapping) -> dict[str, Dataset]:
    """All splits of the dataset, by the names that it gives them; images and labels stay on disk."""
    path = Path(options["huggingface"])
    if not path.exists():
        return load_from_hub(options["huggingface"], options["configuration"], options["revision"])
    from datasets import Dataset, exceptions, load_dataset, load_from_disk
    from pyarrow import ArrowInvalid

    try:
        if path.is_file():
            if path.suffix.lower() not in FILE_KINDS:
                raise UserError(f"{path} is no dataset file: give a .parquet or .arrow file, or a folder of them.")
            loaded = load_dataset(FILE_KINDS[path.suffix.lower()], data_files=str(path))
        elif (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            loaded = load_from_disk(str(path))
        else:
            loaded = load_dataset(str(path), options["configuration"])
    except (exceptions.DatasetsError, ArrowInvalid, FileNotFoundError, ValueError) as error:
        cause = error.__cause__ or error
        raise UserError(
            f"{path} cannot be read as a dataset ({str(cause).strip().splitlines()[0]}); give a .parquet or .arrow "
            "file, a folder of them, or one written by save_to_disk."
        ) from None
    return {"train": loaded} if isinstance(loaded, Dataset) else dict(loaded)


def _labels(
    splits: Mapping[str, Dataset], own: str, options: Mapping
) -> tuple[dict[str, tuple[str, ...]], dict[str, list[int | None]]]:
    """Class names by task, and by task the class index of every row of one split."""
    where = f'the dataset "{options["huggingface"]}"'
    chosen = task_columns(options["label_columns"])
    classes = task_classes(options["classes"], chosen)
    tasks, codes = {}, {}
    for task, column in chosen.items():
        values = {own: _column(splits[own], column, "label_columns ([] for no labels)", where)}
        names = getattr(splits[own].features[column], "names", None)
        if names is not None:
            # A negative number marks a row whose label was withheld.
            words = [None if value is None or value < 0 else names[value] for value in values[own]]
            tasks[task] = tuple(classes[task] or names)
            codes[task] = index_labels(words, tasks[task], f"{where}, column {column},", _rows(words))
            continue
        # Every split must number its classes alike, so that all of them take part.
        values |= {name: list(rows[column]) for name, rows in splits.items() if name != own and column in rows.features}
        everything = [value for column_values in values.values() for value in column_values]
        encoded, tasks[task] = encode_labels(everything, classes[task], f"{where}, column {column},", _rows(everything))
        codes[task] = encoded[: len(values[own])]
    return tasks, codes


def _rows(values: Sequence) -> list[str]:
    return [f"row {row}" for row in range(len(values))]


def _column(rows: Dataset, column: str, option: str, where: str) -> list:
    _check_column(rows, column, option, where)
    return list(rows[column])


def _check_column(rows: Dataset, column: str, option: str, where: str) -> None:
    if column not in rows.features:
        there = ", ".join(rows.features)
        raise UserError(
            f'{where} has no column "{column}"{meant(column, rows.features)}; '
            f"set dataset.{option}; its columns are {there}."
        )


def _with_files(rows: Dataset, column: str, where: str) -> Dataset:
    """The rows with their images as files, so that ours is the only code that decodes."""
    from datasets import Image, Value

    _check_column(rows, column, "image_column", where)
    feature = rows.features[column]
    is_struct = isinstance(feature, dict) and set(feature) <= {"bytes", "path"}
    if not (isinstance(feature, Image) or is_struct or feature in (Value("binary"), Value("string"))):
        raise UserError(
            f"{where} has no images in the column {column} but {feature}; "
            "set dataset.image_column to a column of images."
        )
    return rows.cast_column(column, Image(decode=False))


def _ids(rows: Dataset, own: str, options: Mapping) -> dict[str, int]:
    """The row of every image id."""
    if not options["id_column"]:
        path = Path(options["huggingface"])
        name = safe_id(path.stem if path.suffix.lower() in FILE_KINDS else path.name)
        return {f"{name}-{own}-{row:06d}": row for row in range(len(rows))}
    where = f'the dataset "{options["huggingface"]}"'
    index: dict[str, int] = {}
    for row, value in enumerate(_column(rows, options["id_column"], "id_column", where)):
        image_id = safe_id(str(value))
        if image_id in index:
            raise UserError(
                f'{where} has the id "{value}" twice in the column {options["id_column"]}, in rows '
                f"{index[image_id]} and {row} of {own}; set "
                "dataset.id_column to a column of unique ids, or leave it out."
            )
        index[image_id] = row
    return index


def _file_of(image: Mapping | None, where: str) -> bytes:
    """The bytes of an image's file, from the table or from the path that it names."""
    if image is None:
        raise BrokenImage("the row holds no image")
    if image["bytes"] is not None:
        return image["bytes"]
    path = Path(image["path"])
    if not path.is_file():
        raise UserError(
            f"{where} names the file {path}, which does not exist; put it there, or store the images' bytes."
        )
    return path.read_bytes()
