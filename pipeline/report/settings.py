"""The options of methods, side by side."""

from pipeline.report.results import Results


def settings(results: Results) -> dict[str, dict]:
    """The options of every method."""
    return results.provenance("counterfactuals").get("options", {}).get("methods", {})


def side_by_side(results: Results, methods: list[str]) -> dict:
    """The options in which the methods differ, and in a sentence those that they share."""
    known = {method: described(settings(results).get(method, {})) for method in methods}
    keys = list(dict.fromkeys(key for options in known.values() for key in options))
    differing = [key for key in keys if len({options.get(key) for options in known.values()}) > 1]
    shared = {key: known[methods[0]][key] for key in keys if key not in differing and key in known[methods[0]]}
    rows = [(method, [known[method].get(key, "") for key in differing]) for method in methods]
    return {"columns": [key.replace("_", " ") for key in differing], "rows": rows, "shared": said(shared)}


def described(options: dict) -> dict[str, str]:
    """Options as words."""
    return {key: word(value) for key, value in options.items()}


def word(value: object) -> str:
    """One value as a person would write it."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {word(each)}" for key, each in value.items() if each is not None)
    if isinstance(value, list):
        return ", ".join(map(word, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def said(options: dict[str, str]) -> str:
    return "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in options.items())
