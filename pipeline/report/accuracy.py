"""How often each network is right on the unchanged images."""

from pipeline.report.results import Results

ROLES = {"classifiers": "classifier", "oracles": "oracle", "readers": "reader"}


def show_accuracy(results: Results) -> dict | None:
    """One row per network, and per concept of a reader; nothing where no accuracy is known."""
    rows = [row for role in ROLES for network in results.options.roles[role] for row in rows_of(results, role, network)]
    if not rows:
        return None
    return {
        "rows": rows,
        "interval_name": results.interval_name,
        "roles": [role for role in ROLES if results.options.roles[role]],
    }


def rows_of(results: Results, role: str, network: str) -> list[dict]:
    """The accuracies of one network."""
    rows = []
    for row in results.metric("accuracy", network):
        task = row["concept"] or results.task(network)
        classes = results.tasks(network).get(task, [])
        rows.append({"network": network, "role": ROLES[role], "task": task, "classes": classes, "accuracy": row})
    return rows
