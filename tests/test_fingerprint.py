import itertools
import json
import math
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.fingerprint import ROOT, canonical_json, digest, fingerprint, module_digests

TOY = {
    "toy/__init__.py": "",
    "toy/explain/__init__.py": 'METHODS = {"ace": "toy.explain.ace:explain", "dime": "toy.explain.dime:explain"}',
    "toy/explain/ace.py": """
        '''ACE.'''
        from toy.explain import METHODS
        from ..network import forward


        def explain(score, images):
            '''Explain.'''
            from toy import lazy  # costly

            return lazy.climb(score, forward(images), steps=20)
        """,
    "toy/explain/dime.py": "def explain(score, images):\n    return images",
    "toy/network.py": "import toy.deep.inner\n\ndef forward(x):\n    return toy.deep.inner.double(x)",
    "toy/deep/__init__.py": "SCALE = dict(by=2, description='how much')",
    "toy/deep/inner.py": "import toy.network\n\ndef double(x):\n    return 2 * x",
    "toy/lazy.py": "from toy.progress import say\n\ndef climb(score, x, steps):\n    say()\n    return x",
    "toy/progress.py": "def say():\n    print('one')",
    "toy/unused.py": "NUMBER = 1",
}
TOY = {path: textwrap.dedent(text) for path, text in TOY.items()}

EVERY_SYNTAX = """
from __future__ import annotations
import dataclasses as d, math

@d.dataclass(frozen=True)
class Point(object, metaclass=type):
    x: float = 1e-3
    y: 'list[int] | None' = None

    async def walk(self, /, *steps: int, far=..., **others) -> bytes:
        async with self as here, here: await here
        return b'x' + f"{self.x!r:>{len(steps)}.2f} {{}} {far=}".encode()

def each(items):
    global total
    for key, *rest in items:
        while (count := len(rest)) > 2 and not key or -1 < 2 <= 3:
            try: del rest[0:1]; yield key
            except* (ValueError, TypeError) as group: raise group from None
            else: continue
            finally: assert rest, 'why'
        else: break
    match items:
        case [1, {'a': None, **others}, Point(x=0) as point] if point: total = [*others, {**others}]
        case _: yield from (lambda a, b=2: a if b else 1j)(*items, **{})
    return {k: v for k, v in items if k}, {i for i in items}, [True, False], "\\n" 'joined', 3 @ 2 ** 1 // 4
"""
GOLDEN = "40d60e27d39bb8d7d5ba8140b30801863f9b5462f2c67f0676ccbddf3e187133"  # of EVERY_SYNTAX: 3.11, 3.12, 3.13


@pytest.fixture
def identify(tmp_path):
    """Return the fingerprint of ACE in a toy package, some of whose files are changed."""
    count = itertools.count()

    def identify(changes=(), module="toy.explain.ace", **options):
        root = tmp_path / str(next(count))
        for path, text in {**TOY, **dict(changes)}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        return fingerprint(module, root=root, **options)

    return identify


def changed(path, old, new):
    assert old in TOY[path]
    return {path: TOY[path].replace(old, new)}


@pytest.mark.parametrize(
    "change",
    [
        changed("toy/explain/ace.py", "# costly", "# another comment"),
        changed("toy/explain/ace.py", "'''Explain.'''", "'''Explain better.\n\n    At length.'''"),
        changed("toy/explain/ace.py", "'''Explain.'''", ""),
        changed("toy/explain/ace.py", "'''ACE.'''", "'''Another title.'''"),
        changed("toy/explain/ace.py", "forward(images), steps=20)", "(forward(images)),\n\n  steps=0x14,)"),
        changed("toy/network.py", "def forward(x):", "def forward(x): # forwards\n"),
        changed("toy/deep/__init__.py", "how much", "how much larger"),
    ],
)
def test_comments_docstrings_descriptions_and_layout_change_nothing(identify, change):
    assert identify(change) == identify()


@pytest.mark.parametrize(
    "change",
    [
        changed("toy/explain/ace.py", "steps=20", "steps=21"),
        changed("toy/explain/ace.py", "explain(score, images)", "explain(score, images, *, steps=3)"),
        changed("toy/lazy.py", "return x", "return -x"),
        changed("toy/network.py", "double(x)", "double(x + 1)"),
        changed("toy/deep/inner.py", "2 * x", "2.0 * x"),
        changed("toy/deep/__init__.py", "2", "3"),
        changed("toy/explain/__init__.py", "METHODS =", "METHODS = WAYS ="),
    ],
)
def test_code_that_runs_counts_wherever_it_is_imported(identify, change):
    assert identify(change) != identify()


@pytest.mark.parametrize(
    "change",
    [
        changed("toy/explain/dime.py", "return images", "return 1 - images"),
        changed("toy/explain/__init__.py", '{"ace"', '{"svce": "toy.explain.svce:explain", "ace"'),
        changed("toy/unused.py", "1", "2"),
        {"toy/new.py": "import toy.unused"},
    ],
)
def test_other_methods_do_not_count_though_the_registry_names_them(identify, change):
    assert identify(change) == identify()


def test_modules_that_decide_no_row_can_be_left_out(identify, monkeypatch):
    change = changed("toy/progress.py", "one", "two")
    monkeypatch.setattr("pipeline.fingerprint.UNDECISIVE", frozenset({"toy.progress"}))
    assert identify(change) != identify()
    assert identify(change, deciding=True) == identify(deciding=True)


def test_the_digests_of_modules_tell_which_one_changed(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.fingerprint.UNDECISIVE", frozenset({"toy.progress"}))
    found = []
    for number, change in enumerate(({}, changed("toy/lazy.py", "return x", "return -x"))):
        for path, text in {**TOY, **change}.items():
            file = tmp_path / str(number) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        found.append(module_digests(["toy.explain.ace", "toy.explain.dime"], root=tmp_path / str(number)))
    one, other = found
    assert list(one) == sorted(
        [
            "toy",
            "toy.deep",
            "toy.deep.inner",
            "toy.explain",
            "toy.explain.ace",
            "toy.explain.dime",
            "toy.lazy",
            "toy.network",
        ]
    )
    assert [name for name in one if one[name] != other[name]] == ["toy.lazy"]


def test_removing_a_statement_differs_from_removing_a_docstring(identify):
    assert identify(changed("toy/lazy.py", "say()\n", "\n")) != identify()


def test_the_fingerprint_is_the_same_in_every_version_of_python(identify):
    """Python adds fields to its syntax tree now and then; that must not make all rows be computed again."""
    assert identify({"toy/explain/dime.py": EVERY_SYNTAX}, "toy.explain.dime") == GOLDEN


def test_a_missing_module_is_named(identify):
    with pytest.raises(UserError, match=r"there is no module toy\.explain\.fido"):
        identify(module="toy.explain.fido")


def test_the_whole_package_is_read_and_imported_never():
    program = textwrap.dedent("""
        import json, sys
        from pipeline.fingerprint import ROOT, fingerprint
        found = {}
        for path in sorted((ROOT / "pipeline").rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[module] = fingerprint(module, deciding=True)
        imported = [name for name in sys.modules if name in ("torch", "numpy", "pyarrow")]
        print(json.dumps([imported, found]))
    """)
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    imported, found = json.loads(output.stdout)
    assert imported == [] and len(found) > 5
    assert all(len(value) == 64 for value in found.values())


def test_a_second_fingerprint_parses_nothing(monkeypatch):
    first = fingerprint("pipeline.rows")
    monkeypatch.setattr("ast.parse", None)
    assert fingerprint("pipeline.rows") == first


def test_canonical_json_knows_one_text_for_equal_values():
    assert canonical_json({"b": [1, None, "é"], "a": {"d": 0.1, "c": True}}) == (
        '{"a":{"c":true,"d":0.1},"b":[1,null,"é"]}'
    )
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [math.nan, math.inf, Path("x"), {1, 2}])
def test_canonical_json_refuses_what_has_no_one_text(value):
    with pytest.raises((TypeError, ValueError)):
        canonical_json(value)


def test_what_was_parsed_is_kept_with_its_source_and_goes_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before, after = (tmp_path / name for name in ("before", "after"))
    before.mkdir()
    (before / "one.py").write_text("X = 1", encoding="utf-8")
    found = fingerprint("one", root=before)
    before.rename(after)
    with monkeypatch.context() as patch:
        patch.delattr("pipeline.fingerprint.ast.parse")
        assert fingerprint("one", root=after) == found
    after.rename(tmp_path / "edited")
    (tmp_path / "edited" / "one.py").write_text("X = 2", encoding="utf-8")
    assert fingerprint("one", root=tmp_path / "edited") != found
