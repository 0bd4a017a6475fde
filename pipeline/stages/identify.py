"""Hash every network, generator and in-filler once, into small files that later jobs compare."""

import json
from pathlib import Path
from typing import Any

from pipeline.classifiers.entry import Network
from pipeline.classifiers.identity import identify as identify_network
from pipeline.classifiers.identity import told_by_loading
from pipeline.diffusion.identity import identify as identify_generator
from pipeline.entry import parse_entry
from pipeline.errors import UserError
from pipeline.files import appearing
from pipeline.fingerprint import canonical_json
from pipeline.infill.identity import identify as identify_filler
from pipeline.metrics.networks import LOADERS
from pipeline.metrics.networks.identity import identify as identify_measuring
from pipeline.stages.common import read_options


def identify(options: str, identities: list[Path], code: str = "") -> None:
    """Write the identity of each network, generator and in-filler, as JSON, to the file that has its name.

    Beside it a note tells of which state of which files it is, so that nobody has to hash them again to know.
    """
    chosen = read_options("identify", options)
    for path in identities:
        note = what_is_hashed(path.stem, chosen, code)  # before they are: what comes later is another state
        identity = with_state(path.stem, chosen, identity_of(path.stem, chosen))
        for file, content in ((path, identity), (note_of(path), note)):
            with appearing(file) as hidden:
                hidden.write_text(canonical_json(content) + "\n", encoding="utf-8")


def identity_now(path: Path, options: Any, code: str) -> dict[str, Any] | None:
    """What the network, generator or in-filler of that name is now; None where its own files are not there.

    They are hashed only where the note beside its identity tells of another state of them, or of none; it is then told
    without what only loading tells.
    """
    try:
        noted = json.loads(note_of(path).read_text(encoding="utf-8"))
        if noted["files"] and noted == what_is_hashed(path.stem, options, code):
            return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        pass
    try:
        return identity_of(path.stem, options)
    except UserError:
        return None


def identity_of(name: str, options: Any) -> dict[str, Any]:
    """What a network, generator or in-filler is, from its own files. Raises UserError where they are not there."""
    if name in options.generators:
        return identify_generator(name, options.generators[name])
    if name in options.fillers:
        return identify_filler(name, options.fillers[name])
    entry = options.networks[name]
    return (identify_measuring if LOADERS.keys() & entry.keys() else identify_network)(name, entry)


def with_state(name: str, options: Any, identity: dict[str, Any]) -> dict[str, Any]:
    """The identity, with the digest of what the network holds where its files do not tell: then it is loaded."""
    entry = options.networks.get(name)
    if entry is None or LOADERS.keys() & entry.keys() or not told_by_loading(parse_entry(Network, name, entry)):
        return identity
    from pipeline.classifiers.load import load_classifier
    from pipeline.classifiers.state import state_digest

    unperturbed = {key: value for key, value in entry.items() if key != "classifier_perturbation"}
    state = state_digest(load_classifier(name, unperturbed).network)
    return {**identity, "state": state} if state else identity


def what_is_hashed(name: str, options: Any, code: str) -> dict[str, Any]:
    """The entry of a network, generator or in-filler, the code that hashes it, size and time of each of its files."""
    entry = next(kind[name] for kind in (options.networks, options.generators, options.fillers) if name in kind)
    files = {file: state_of(Path(file)) for file in options.files.get(name, [])}
    return {"entry": entry, "code": code, "files": files}


def state_of(path: Path) -> list[int] | None:
    """Size and time of a file; None where there is none."""
    if not path.exists():
        return None
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def note_of(identity: Path) -> Path:
    """Where the note on an identity lies."""
    return identity.with_name(f"{identity.stem}.hashed")
