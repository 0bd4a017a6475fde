"""The files that a person's own source consists of, found without running it. Needs no torch."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

OURS = "pipeline"
"""Its modules are no part of a person's source, though they may lie in the working directory."""


def files_of(source: Path) -> list[Path]:
    """A source file, and what it uses of its folder and of the working directory, in the order of its text.

    That are the modules that it imports from there, and the files that it or they name in quotes.
    """
    found: dict[Path, Path] = {}
    waiting = [source]
    while waiting:
        path = waiting.pop(0)
        if path.resolve() not in found:
            found[path.resolve()] = path
            waiting += used(path, source.parent) if path.suffix == ".py" else []
    return list(found.values())


def used(path: Path, home: Path) -> Iterator[Path]:
    """The files that one source file imports or names. home: the folder of the first one, from which all may import."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # the person is told when it runs
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield from modules([home, Path()], name.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            package = [path.parent.joinpath(*[".."] * (node.level - 1))] if node.level else [home, Path()]
            before = node.module.split(".") if node.module else []
            for name in node.names:
                yield from modules(package, [*before, name.name])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            places = (Path(os.path.expanduser(node.value)), path.parent / node.value)
            yield from filter(os.path.isfile, places)


def modules(folders: list[Path], names: list[str]) -> Iterator[Path]:
    """The files below these folders that an import of a.b.c reads: a, a.b, and a.b.c if that is a module."""
    for folder in folders if names[0] != OURS else []:
        for depth in range(len(names) + 1):
            place = folder.joinpath(*names[:depth])
            files = (
                [place / "__init__.py"] if depth == 0 else [place / "__init__.py", place.parent / f"{place.name}.py"]
            )
            yield from filter(os.path.isfile, files)
