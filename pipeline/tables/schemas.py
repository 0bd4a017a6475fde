"""What each table holds: columns, types, and where a value may be missing.

Images are `struct<bytes, path>` of PNG with the Hugging Face feature metadata, so that `datasets` shows them. Dicts are
maps here; in files they are lists of (key, value), the same bytes, because `datasets` knows no maps.
"""

import json
from dataclasses import dataclass

import numpy
import pyarrow

TEXT = pyarrow.string()
BOOLEAN = pyarrow.bool_()
CLASS = pyarrow.int32()  # index of a class, or of a concept's value
NUMBER = pyarrow.int64()
REAL = pyarrow.float32()  # what a network computed
PRECISE = pyarrow.float64()  # what statistics computed
VECTOR = pyarrow.list_(pyarrow.float32())
SHAPE = pyarrow.list_(pyarrow.int32())
ARRAY = pyarrow.binary()  # numbers of an array, little-endian, in the order of its `shape`
IMAGE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
MASKS = pyarrow.list_(pyarrow.struct([("concept", pyarrow.string()), ("mask", pyarrow.binary())]))  # 1-bit PNG
BOXES = pyarrow.list_(
    pyarrow.struct([*((edge, pyarrow.float32()) for edge in ("x0", "y0", "x1", "y1")), ("label", pyarrow.string())])
)  # in pixels of the row's image; x1 and y1 lie outside
STRIP = pyarrow.list_(pyarrow.struct([("strength", REAL), ("image", IMAGE), ("logits", VECTOR)]))
LABELS = pyarrow.map_(pyarrow.string(), pyarrow.int32())
NUMBERS = pyarrow.map_(pyarrow.string(), pyarrow.float64())
TEXTS = pyarrow.map_(pyarrow.string(), pyarrow.string())
NAMES = pyarrow.list_(pyarrow.string())

STATUSES = ("ok", "failed", "unscored")
"""Unscored: a metric has nothing to say of this row, such as an image whose decision nothing flips; no mistake."""
FAMILIES = (
    *("classifiers", "generators", "saliency", "counterfactuals", "directions", "importance", "checks"),
    "accusations",
)
DEFINITIONS = ("paper", "corrected")

# Number format of each column of type ARRAY. Maps keep float32: gradients underflow in float16, and ranks would tie.
ARRAY_FORMATS = {("codes", "noise"): "<f2", ("saliency", "map"): "<f4"}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    null: where a value may be missing: "never", "failed" (only in rows that failed) or "any".
    choices: the words that a text column knows, or None for any text.
    """

    name: str
    type: pyarrow.DataType
    null: str
    choices: tuple[str, ...] | None = None


def required(name: str, type: pyarrow.DataType, choices: tuple[str, ...] | None = None) -> Column:
    """A column that has a value in every row."""
    return Column(name, type, "never", choices)


def computed(name: str, type: pyarrow.DataType) -> Column:
    """A column that has a value in every row that did not fail."""
    return Column(name, type, "failed")


def optional(name: str, type: pyarrow.DataType, choices: tuple[str, ...] | None = None) -> Column:
    """A column that may lack a value in any row."""
    return Column(name, type, "any", choices)


ROW = (required("row_id", TEXT), required("status", TEXT, STATUSES), optional("reason", TEXT))
IMAGE_ROW = (ROW[0], required("image_id", TEXT), *ROW[1:])
NETWORK_ROW = (*IMAGE_ROW[:2], required("classifier", TEXT), *ROW[1:])
METHOD_ROW = (*NETWORK_ROW[:3], required("method", TEXT), *ROW[1:])
DATASET_ROW = (ROW[0], *METHOD_ROW[2:])

COLUMNS: dict[str, tuple[Column, ...]] = {
    "images": (
        *IMAGE_ROW,
        computed("image", IMAGE),
        computed("content", TEXT),
        computed("height", CLASS),
        computed("width", CLASS),
        required("split", TEXT),
        optional("attributes", LABELS),
        optional("caption", TEXT),
        optional("concepts", LABELS),
        optional("parts", MASKS),
        optional("boxes", BOXES),
        optional("seed", NUMBER),
        optional("nuisance", NUMBERS),
    ),
    "predictions": (
        *NETWORK_ROW,  # classifier: the name of the network, be it classifier, oracle or reader
        required("source", TEXT, ("images", "interventions", "counterfactuals", "generated")),
        required("source_row_id", TEXT),
        required("task", TEXT),
        computed("logits", VECTOR),
        computed("predicted", CLASS),
        computed("confidence", REAL),
        optional("label", CLASS),
    ),
    "interventions": (
        *IMAGE_ROW,
        required("concept", TEXT),
        required("value", CLASS),
        required("value_name", TEXT),
        required("original", CLASS),
        optional("image", IMAGE),
        optional("content", TEXT),
    ),
    "codes": (
        *IMAGE_ROW,
        required("autoencoder", TEXT),
        required("encode_steps", CLASS),
        required("decode_steps", CLASS),  # of what is restored
        optional("content", TEXT),  # of the image that was encoded
        optional("image", IMAGE),  # the image itself, where it is none of the study
        optional("attributes", LABELS),
        computed("semantic", VECTOR),
        computed("noise", ARRAY),
        computed("shape", SHAPE),
        computed("reconstruction_error", REAL),
        computed("network_evaluations", NUMBER),
    ),
    "counterfactuals": (
        *METHOD_ROW,
        required("target", CLASS),
        required("sample", CLASS),
        computed("image", IMAGE),
        optional("content", TEXT),
        optional("strength", REAL),
        optional("direction", TEXT),  # row_id in directions, of methods that follow one
        computed("logits", VECTOR),
        computed("predicted", CLASS),
        computed("confidence_target", REAL),
        computed("flipped", BOOLEAN),
        computed("network_evaluations", NUMBER),
    ),
    "probes": (  # no table of a study: what the row store keeps
        *METHOD_ROW,  # image_id: the image whose code was moved
        computed("offset", VECTOR),
        computed("logits", VECTOR),
        computed("distance", REAL),
    ),
    "directions": (
        *DATASET_ROW,
        required("autoencoder", TEXT),
        required("target", CLASS),
        required("origin", CLASS),  # the class that images of the target are led to, the other way
        required("source_image_id", TEXT),  # around which it was searched
        computed("kind", TEXT),
        computed("rank", CLASS),
        computed("vector", VECTOR),
        optional("eigenvalue", PRECISE),  # h only
        computed("unit", REAL),  # length of strength 1 in the space of codes
        computed("sign", CLASS),
        computed("decodes", NUMBER),
        computed("calibration_flip_rate", REAL),
        optional("strip", STRIP),  # the source image along the direction
        computed("network_evaluations", NUMBER),
    ),
    "saliency": (
        *METHOD_ROW,
        required("target", CLASS),
        computed("map", ARRAY),
        computed("shape", SHAPE),
        optional("infill", TEXT),
        optional("objective", TEXT),
        optional("objective_value", REAL),
        optional("steps", CLASS),
        optional("strength", REAL),  # where on a direction the class is gone; of methods that follow one
        computed("network_evaluations", NUMBER),
    ),
    "generated": (
        *IMAGE_ROW,  # image_id: the row whose noise the image grew from
        required("generator", TEXT),
        required("caption", TEXT),
        required("sample", CLASS),
        optional("concepts", LABELS),
        computed("image", IMAGE),
        optional("content", TEXT),
        optional("seed", NUMBER),
        computed("network_evaluations", NUMBER),
    ),
    "importance": (
        *DATASET_ROW,
        required("concept", TEXT),  # a concept or the name of a group
        optional("members", NAMES),  # the concepts of a group
        optional("measure", TEXT),
        optional("generator", TEXT),
        computed("importance", PRECISE),
        computed("base", PRECISE),
        computed("score", PRECISE),
        optional("permutation_low", PRECISE),
        optional("permutation_high", PRECISE),
        optional("monte_carlo_error", PRECISE),
        optional("ci_low", PRECISE),
        optional("ci_high", PRECISE),
        computed("n", NUMBER),
        optional("n_changed", NUMBER),
        optional("checks", NUMBERS),
    ),
    "accusations": (
        *ROW,
        optional("image_id", TEXT),  # none where something is said of the whole dataset
        required("classifier", TEXT),
        required("family", TEXT, FAMILIES),
        optional("method", TEXT),
        optional("control", TEXT),  # as in scores; the ceiling too
        optional("judge", TEXT),  # who saw the concept change
        required("concept", TEXT),
        optional("score", PRECISE),
        required("flips", BOOLEAN),  # whether changing the concept changes the decision
        required("effect", PRECISE),
    ),
    "scores": (
        *ROW,
        required("family", TEXT, FAMILIES),
        optional("image_id", TEXT),
        optional("classifier", TEXT),
        optional("method", TEXT),
        optional("control", TEXT),  # what was scored in the place of an explanation, which then is none of the method's
        optional("source_row_id", TEXT),
        required("metric", TEXT),
        optional("judge", TEXT),
        optional("infill", TEXT),
        optional("concept", TEXT),
        optional("source_class", TEXT),
        optional("target_class", TEXT),
        optional("pairs", TEXT),
        optional("definition", TEXT, DEFINITIONS),
        optional("network", TEXT),
        computed("value", PRECISE),
        optional("ci_low", PRECISE),  # this and the next two: of a value about a set of images, which has no image_id
        optional("ci_high", PRECISE),
        optional("n", NUMBER),
    ),
    "metrics": (
        *ROW,
        required("family", TEXT, FAMILIES),
        optional("method", TEXT),
        optional("classifier", TEXT),
        required("metric", TEXT),
        optional("control", TEXT),  # as in scores; of a difference, what the method is compared with
        optional("compared_with", TEXT),  # the other method of a difference
        optional("judge", TEXT),
        optional("infill", TEXT),
        optional("concept", TEXT),
        optional("source_class", TEXT),
        optional("target_class", TEXT),
        optional("pairs", TEXT),  # which pairs of source and target class, such as near or far
        optional("definition", TEXT, DEFINITIONS),
        optional("value", PRECISE),  # missing where only the published number is known
        optional("ci_low", PRECISE),
        optional("ci_high", PRECISE),
        optional("p", PRECISE),  # of no difference, two-sided, as if it were the only comparison
        optional("n", NUMBER),
        optional("better", TEXT, ("higher", "lower")),
        optional("network", TEXT),
        optional("published", PRECISE),
        optional("source", TEXT),
    ),
    "costs": (
        *ROW,
        required("stage", TEXT),
        optional("study", TEXT),
        optional("classifier", TEXT),
        optional("part", TEXT),
        computed("rows", NUMBER),
        computed("rows_computed", NUMBER),
        required("seconds", PRECISE),
        required("seconds_by_cause", NUMBERS),
        optional("startup_seconds", PRECISE),
        required("device", TEXT),
        required("peak_memory_bytes", NUMBER),
        optional("peak_device_memory_bytes", NUMBER),
        computed("network_evaluations", NUMBER),
        required("versions", TEXTS),
        required("modules", TEXTS),  # sha256 of the code of the project's modules that it imported
    ),
}


def row_id(*parts: object) -> str:
    """Return the identity of a row as a text: its parts joined by `/`; other parts never give the same.

    A part that is None leaves its place empty; within a part, `/` is `%2F` and `%` is `%25`, as in an address; an empty
    text is a lone `%`.
    """
    return "/".join("" if part is None else _escaped(str(part)) for part in parts)


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F") or "%"


def pack(table: str, column: str, array: numpy.ndarray) -> bytes:
    """Return the numbers of an array as a column of type ARRAY keeps them; its shape goes to the column `shape`."""
    return numpy.ascontiguousarray(array, dtype=ARRAY_FORMATS[table, column]).tobytes()


def unpack(table: str, column: str, packed: bytes, shape: list[int]) -> numpy.ndarray:
    """Return the array that `pack` was given, in the number format of the column."""
    return numpy.frombuffer(packed, dtype=ARRAY_FORMATS[table, column]).reshape(shape)


def stored_type(type: pyarrow.DataType) -> pyarrow.DataType:
    """Return the type that a column of `type` has in a file: maps are lists of (key, value) there."""
    if not pyarrow.types.is_map(type):
        return type
    key = pyarrow.field("key", type.key_type, nullable=False)
    return pyarrow.list_(pyarrow.struct([key, pyarrow.field("value", type.item_type)]))


def stored_schema(schema: pyarrow.Schema) -> pyarrow.Schema:
    """Return the schema of the file that keeps a table of `schema`."""
    return pyarrow.schema([field.with_type(stored_type(field.type)) for field in schema], metadata=schema.metadata)


def _schema(columns: tuple[Column, ...]) -> pyarrow.Schema:
    images = {column.name: {"_type": "Image"} for column in columns if column.type == IMAGE}
    metadata = {"huggingface": json.dumps({"info": {"features": images}})} if images else None
    fields = [pyarrow.field(column.name, column.type, nullable=column.null != "never") for column in columns]
    return pyarrow.schema(fields, metadata=metadata)


SCHEMAS: dict[str, pyarrow.Schema] = {name: _schema(columns) for name, columns in COLUMNS.items()}
