"""Where every table comes from: stage, code, options, seed and weights."""

import json
import re
from pathlib import Path
from typing import Any

from pipeline.fingerprint import canonical_json
from pipeline.report.results import Part, Results

SHORT = 12  # digits of a sha256 that are shown; the whole stands in the tooltip
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
OF_PAGE = re.compile(r'<script type="application/json" id="follows-from">(.*)</script>')


def show_provenance(results: Results) -> dict:
    """One entry per table and origin; parts that follow from the same are one entry."""
    groups: dict[str, list[Part]] = {}
    for part in results.parts:
        shared = {key: value for key, value in part.provenance.items() if key not in ("rows", "before")}
        shared["inputs"] = list(shared.get("inputs", []))
        groups.setdefault(f"{part.table} {canonical_json(shared)}", []).append(part)
    return {"tables": [entry(parts) for parts in groups.values()]}


def read_page_provenance(page: Path) -> dict[str, Any]:
    """What a page follows from; nothing where it does not tell."""
    found = OF_PAGE.search(page.read_text(encoding="utf-8"))
    return json.loads(found[1]) if found else {}


def entry(parts: list[Part]) -> dict:
    """What is said about parts of one origin."""
    provenance = parts[0].provenance
    code, options = provenance.get("code"), provenance.get("options")
    return {
        "table": parts[0].table,
        "stage": provenance.get("stage"),
        "inputs": list(provenance.get("inputs", [])),
        "parts": len(parts),
        "rows": sum(part.rows for part in parts),
        "failed": sum(part.failed for part in parts),
        "seed": provenance.get("seed"),
        "code": code and {"short": code[:SHORT], "full": code},
        "options": options and json.dumps(options, indent=2, sort_keys=True, ensure_ascii=False),
        "weights": [weight(name, identity) for name, identity in sorted(provenance.get("weights", {}).items())],
    }


def weight(name: str, identity: Any) -> dict:
    """A network's identity: the first digits of its sha256, or, without one, all that is known of it."""
    full = identity if isinstance(identity, str) else canonical_json(identity)
    digests = DIGEST.findall(full)
    return {"name": name, "short": ", ".join(digest[:SHORT] for digest in digests) or full, "full": full}
