"""The files that docs/extending.md adds, written as it says."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def follow(chapter: str, folder: Path) -> list[str]:
    """Write the files of a chapter of the guide below `folder`, where the package is; returns their paths, in order.

    Of a file that is there, the guide names a mapping, and what it shows is an entry of it.
    """
    guide = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (text,) = (each for each in re.split(r"(?m)^# (?=Add )", guide) if each.startswith(f"{chapter}\n"))
    written: dict[str, None] = {}
    for path, mapping, source in re.findall(r"```python\n# (\S+?\.\w+)(?:, (\w+))?\n(.*?)```", text, re.DOTALL):
        file = folder / path
        if mapping:
            before, opening, after = re.split(rf"(?m)^({mapping}\b.* = {{\n)", file.read_text(encoding="utf-8"))
            source = before + opening + source + after
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
        written[path] = None
    return list(written)
