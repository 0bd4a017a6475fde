"""What archives of programs must not hold, found before torch loads them: loading evaluates and runs it.

An entry with `trusted: true` says who made a file, not that it does no harm. What a network of images never needs is
refused all the same. Archives are read by the reader that torch loads them with, so that both see the same content.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from zipfile import ZipFile

import torch

from pipeline.classifiers.entry import Network
from pipeline.errors import UserError

FUNCTION = re.compile(
    "Symbol|Integer|Float|Rational|Add|Mul|Pow|Abs|Max|Min|floor|ceiling|Piecewise|ExprCondPair|Tuple|And|Or|Not"
    "|Equality|Unequality|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan"
    "|FloorDiv|ModularIndexing|Where|PythonMod|Mod|CleanDiv|CeilToInt|FloorToInt|CeilDiv|LShift|RShift|PowByNatural"
    "|FloatPow|FloatTrueDiv|IntTrueDiv|IsNonOverlappingAndDenseIndicator|TruncToFloat|TruncToInt|RoundToInt"
    "|RoundDecimal|ToFloat|Identity|OpaqueUnaryFn_sqrt"
)
"""What torch.export writes into sizes (`torch._export.serde`): constructors of sympy, and its own functions."""
ARITHMETIC = (
    *(ast.Expression, ast.keyword, ast.Load, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare),
    *(ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)
OPERATION = re.compile(
    r"torch\.ops\.(aten|prims|torchvision|quantized_decomposed)\.(?!from_file\b|save\b)\w+\.[A-Za-z]\w*"
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast|cond)"
    r"|_operator\.(eq|ne|le|ge|lt|gt|neg|pos|and_|or_|not_|add|sub|mul|truediv|floordiv|mod|pow|lshift|rshift|getitem)"
    r"|math\.[a-z]\w*|torch\._?sym_\w+"
)
NAME, TEXT, STRUCTURE = re.compile(r"[\w.-]*"), re.compile(r"[\w .,>-]*"), re.compile(r'[\w ."\[\],-]*')
STRUCTURES = ("builtins.tuple", "builtins.list", "builtins.dict")
FILE_OPERATION = re.compile(rb"\b(save|from_file|load_tensor)\b")
"""The operations of TorchScript that reach files; the code of a network has no such words."""


def refuse_code(entry: Network, found: str | None) -> None:
    """Raise UserError for what was found in the entry's file, if anything was."""
    if found is not None:
        raise UserError(
            f"classifier '{entry.name}': {entry.source} holds {found}, which a network does not need and which could do"
            " anything when it is loaded, so it was refused; give the network as safetensors, as ONNX or by an"
            " entry_point."
        )


def code_in_export(path: str) -> str | None:
    """What a .pt2 holds beside a graph of operations on tensors, in words; None if there is nothing.

    Raises BadZipFile, RuntimeError, ValueError, LookupError, TypeError or AttributeError for another kind of file.
    """
    with ZipFile(path) as archive:
        if "version" in archive.namelist():
            return "a program of torch's first format (version)"
    archive = torch._C.PyTorchFileReader(path)
    for name in archive.get_all_records():
        if name.startswith("data/aotinductor/"):
            return f"compiled code ({name})"
        if name.startswith("data/constants/") and name.endswith(".json"):
            stored = json.loads(archive.get_record(name))["config"].values()
            for constant in stored:
                if not constant["path_name"].startswith("tensor_"):
                    return f"a pickled object ({constant['path_name']})"
        if name.startswith("models/"):
            program = json.loads(archive.get_record(name))
            for key, text in texts(program):
                if not ALLOWED.get(key, is_name)(text):
                    return f"code in place of {MEANT.get(key, 'a name')} ({shortened(text)})"
    return None


def code_in_script(path: str) -> str | None:
    """What the code in a TorchScript archive does beside computing, in words; None if there is nothing.

    Raises RuntimeError for a file that is no such archive.
    """
    archive = torch._C.PyTorchFileReader(path)
    for name in archive.get_all_records():
        if name == "model.json":
            return "code of torch's first format (model.json)"
        if name.lower().startswith("code/") and not name.endswith(".debug_pkl"):
            found = FILE_OPERATION.search(archive.get_record(name))
            if found:
                return f"a file operation ({found[0].decode()} in {name})"
    return None


def texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in JSON with the key under which it stands, and every key as a text of its own."""
    if isinstance(value, str):
        yield key, value
    for inner, each in value.items() if isinstance(value, dict) else ():
        yield "", inner
        yield from texts(each, inner)
    for each in value if isinstance(value, list) else ():
        yield from texts(each, key)


def is_name(text: str) -> bool:
    """Whether a text is a name of a tensor, weight or argument, all of which torch writes into Python code."""
    return NAME.fullmatch(text) is not None


def is_operation(text: str) -> bool:
    """Whether a text names an operation on tensors or numbers; torch would take any function below `torch`."""
    return OPERATION.fullmatch(text) is not None


def is_arithmetic(text: str) -> bool:
    """Whether a text is an expression of symbols and numbers; torch has sympy evaluate it as Python."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return not set(text) & {"#", "\n", "\\"} and all(is_plain(node, called) for node in ast.walk(tree))


def is_plain(node: ast.AST, called: set[ast.expr]) -> bool:
    """Whether a part of an expression calls nothing but functions of numbers, and has texts that are names or numbers.

    called: the parts of the expression that are called.
    """
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name)
    if isinstance(node, ast.Name):
        return bool(FUNCTION.fullmatch(node.id)) if node in called else not node.id.startswith("_")
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, str | bytes) or bool(re.fullmatch(r"[A-Za-z]\w*|[\d.e+-]+", node.value))
    return isinstance(node, ARITHMETIC)


def is_structure(text: str) -> bool:
    """Whether a text describes a tuple, list or mapping; torch imports modules for others."""
    spec = json.loads(text)
    return all(
        each in STRUCTURES if key == "type" else STRUCTURE.fullmatch(each) is not None for key, each in texts(spec)
    )


def is_anything(text: str) -> bool:
    """For notes on where operations came from: torch only keeps them."""
    return True


ALLOWED: dict[str, Callable[[str], bool]] = {
    "expr_str": is_arithmetic,
    **dict.fromkeys(("target", "as_operator"), is_operation),
    **dict.fromkeys(("as_string", "as_strings"), lambda text: TEXT.fullmatch(text) is not None),
    **dict.fromkeys(("in_spec", "out_spec"), is_structure),
    **dict.fromkeys(
        ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "custom", "from_node", "torch_version"),
        is_anything,
    ),
}
"""What may stand under a key of `models/model.json`; under all others, names."""
MEANT = {"expr_str": "arithmetic", "target": "an operation", "as_operator": "an operation"}


def shortened(text: str) -> str:
    """At most 60 characters of a text."""
    return text if len(text) <= 60 else f"{text[:57]}..."
