"""Identities: of code, by the parsed source that it runs, of options, by their canonical JSON, and of libraries.

A fingerprint changes with what code does, not with how it is written down: comments, docstrings, descriptions of
options and layout do not enter. Modules are read as text, never imported.
"""

import ast
import contextlib
import functools
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.errors import UserError

ROOT = Path(__file__).resolve().parents[1]

# These modules speak, count and place work, but no value of a row comes from them.
UNDECISIVE = frozenset({"pipeline.errors", "pipeline.progress", "pipeline.costs", "pipeline.device"})


def fingerprint(module: str, *, deciding: bool = False, root: Path = ROOT) -> str:
    """Return the sha256 (hex) of the code that `module` runs: itself and all it imports from its own package.

    module: dotted name. root: the folder that holds the package. deciding: leave out the modules of UNDECISIVE.
    Imports count wherever they stand (inside functions too), and so does the `__init__` of every parent. A module that
    is only named in a string, as in a registry, is not imported and does not count.
    Raises UserError where there is no such module.
    """
    if _source(root, module) is None:
        raise UserError(f"there is no module {module} in {root}; name one as in pipeline.explain.fido")
    modules = sorted(_closure(root, [module]) - (UNDECISIVE if deciding else frozenset()))
    return hashlib.sha256(canonical_json([[name, _parsed(root, name)[0]] for name in modules]).encode()).hexdigest()


def module_digests(modules: Iterable[str], *, root: Path = ROOT) -> dict[str, str]:
    """Return the sha256 (hex) of the code of each of `modules` and of all that they import from their own package.

    Module by module, what `fingerprint` with `deciding` tells as one: the modules of UNDECISIVE are left out.
    """
    reached = _closure(root, modules) - UNDECISIVE
    return {name: _parsed(root, name)[0] for name in sorted(reached)}


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces, no NaN. Equal values give equal texts.

    Raises TypeError for values that JSON does not know (paths, arrays) and ValueError for NaN and infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the sha256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@functools.cache
def release(library: str) -> str:
    """The major and minor version of an installed library: patches do not change what it computes."""
    return ".".join(metadata.version(library).split(".")[:2])


def _closure(root: Path, modules: Iterable[str]) -> set[str]:
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in reached or _source(root, name) is None:
            continue
        reached.add(name)
        waiting += [*_parents(name), *_parsed(root, name)[1]]
    return reached


@functools.cache
def _source(root: Path, module: str) -> Path | None:
    """Return the file of a module or package, or None where `module` is neither."""
    path = root.joinpath(*module.split("."))
    for candidate in (path / "__init__.py", path.with_name(path.name + ".py")):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _parsed(root: Path, module: str) -> tuple[str, frozenset[str]]:
    """Return the sha256 of a module's code, and the names of the first-party modules that it imports.

    Both are kept beside the module's bytecode, under the sha256 of what they follow from: every job asks for them, and
    to parse all modules takes a second or two.
    """
    source = _source(root, module)
    text = source.read_bytes()
    follows_from = (Path(__file__).read_bytes(), module.encode(), source.name.encode(), text)
    identity = hashlib.sha256(b"\0".join(follows_from)).hexdigest()
    kept = source.parent / "__pycache__" / f"{source.stem}.fingerprint"
    with contextlib.suppress(OSError, ValueError):
        of, found, *imported = kept.read_text("utf-8").split()
        if of == identity:
            return found, frozenset(imported)
    found, imported = _parse(text, module, is_package=source.name == "__init__.py")
    if not sys.dont_write_bytecode:
        with contextlib.suppress(OSError):
            kept.parent.mkdir(exist_ok=True)
            hidden = kept.with_name(f"{kept.name}.{os.getpid()}")
            hidden.write_text(" ".join([identity, found, *sorted(imported)]), "utf-8")
            hidden.replace(kept)
    return found, imported


def _parse(text: bytes, module: str, *, is_package: bool) -> tuple[str, frozenset[str]]:
    tree = ast.parse(text, filename=module)
    package = module if is_package else module.rpartition(".")[0]
    own = module.split(".")[0]
    imported = {name for name in _imports(tree, package) if name.split(".")[0] == own}
    pieces: list[str] = []
    _write_code(tree, pieces, own)
    return hashlib.sha256("\x1f".join(pieces).encode()).hexdigest(), frozenset(imported)


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Every dotted name that an import statement may load; names that are no modules are sorted out later."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _write_code(node: ast.AST, pieces: list[str], package: str) -> None:
    """Append a text of the syntax tree to `pieces`.

    Unlike `ast.dump`, it reads the same in every Python version (empty fields, which versions add, are left out), and
    it leaves out strings that stand alone as statements, which is what docstrings are, and the descriptions of options
    (`description="..."`). Entries of a registry (a name that stands for a module of `package`) are left out too: a
    method that is added changes no other method.
    """
    pieces.append(type(node).__name__)
    if isinstance(node, ast.Constant):
        pieces.append(repr(node.value))
        return
    if isinstance(node, ast.Dict):
        node = _without_registry_entries(node, package)
    for field in node._fields:
        value = getattr(node, field, None)
        if value is None or value == [] or field in ("ctx", "type_comment"):
            continue
        pieces.append(field)
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, ast.AST):
                pieces.append(repr(item))
            elif not _only_tells(item):
                _write_code(item, pieces, package)
    pieces.append(")")


def _without_registry_entries(node: ast.Dict, package: str) -> ast.Dict:
    kept = [
        (key, value) for key, value in zip(node.keys, node.values, strict=True) if not _names_module(value, package)
    ]
    return ast.Dict([key for key, _ in kept], [value for _, value in kept])


def _names_module(node: ast.AST, package: str) -> bool:
    named = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return named and re.fullmatch(rf"{package}(\.\w+)+(:\w+)?", node.value) is not None


def _only_tells(node: ast.AST) -> bool:
    """Whether it is a docstring, or the description of an option."""
    stands_for_itself = isinstance(node, ast.Expr) or (isinstance(node, ast.keyword) and node.arg == "description")
    return stands_for_itself and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
