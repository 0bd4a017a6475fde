"""Counterfactuals whose worth is known, for a study of the report's tests: interventions in place of what is made."""

from pipeline.images import content, decode_png
from pipeline.tables import read_table, write_table
from tests.report.known_maps import ORIGIN

CLASSIFIER, READER = "smile-cnn", "concepts"
CONE = {"angle": 30.0, "helper": "smile-vit"}
METHODS = {
    "draws-smile": {"method": "dvce", "cone": CONE, "steps": 50, "through_denoiser": True},
    "draws-hat": {"method": "dvce", "cone": None, "steps": 50, "through_denoiser": True},
}
CHANGES = {"draws-smile": "smile", "draws-hat": "hat"}


def add_counterfactuals(study):
    """Write tables of counterfactuals of one classifier, of the judgements on them, and metrics by hand."""
    images = read_table(study.files["images"], "images").to_pylist()
    changes = read_table(study.files["interventions"], "interventions").to_pylist()
    answers = {
        (row["classifier"], row["task"], row["source_row_id"]): row
        for row in read_table(study.files["predictions"], "predictions").to_pylist()
    }
    made, judged = [], []
    for method, concept in CHANGES.items():
        for image in images:
            (change,) = (row for row in changes if (row["image_id"], row["concept"]) == (image["image_id"], concept))
            before, after = (answers[CLASSIFIER, "smile", change[key]] for key in ("image_id", "row_id"))
            made.append(counterfactual_row(method, change, 1 - before["predicted"], after))
            judged += [
                {**row, "row_id": f"{name}/{task}/{made[-1]['row_id']}", "source": "counterfactuals"}
                | {"source_row_id": made[-1]["row_id"], "label": None}
                for (name, task, seen), row in answers.items()
                if seen == change["row_id"] and name != CLASSIFIER
            ]
    made[-1] = failed_row(made[-1])
    told = {"stage": "counterfactuals", "inputs": ["images", "predictions"], "options": {"methods": METHODS}}
    study.files["counterfactuals"] = [write(study, "counterfactuals", "counterfactuals", made, **told)]
    study.files["predictions"].append(write(study, "predictions", "judge", judged, stage="judge", inputs=[]))
    rows = read_table(study.files["metrics"], "metrics").to_pylist()
    study.rewrite("metrics", rows + known_metrics(), options={"confidence": 0.95})
    return study


def write(study, table, folder, rows, **told):
    path = study.folder / "tables" / table / folder / "part-000.parquet"
    write_table(path, table, rows, {**ORIGIN, **told})
    return path


def counterfactual_row(method, change, target, after):
    """An intervention as the counterfactual of a method."""
    return {
        **{"row_id": f"{CLASSIFIER}/{method}/{change['image_id']}/{target}/0", "image_id": change["image_id"]},
        **{"classifier": CLASSIFIER, "method": method, "status": "ok", "target": target, "sample": 0},
        **{"image": change["image"], "content": content(decode_png(change["image"]["bytes"]))},
        **{"logits": after["logits"], "predicted": after["predicted"], "flipped": after["predicted"] == target},
        **{"confidence_target": 0.8, "network_evaluations": 7},
    }


def failed_row(row):
    """The same row as one that could not be made."""
    kept = ("row_id", "image_id", "classifier", "method", "target", "sample")
    return {**{key: row[key] for key in kept}, "status": "failed", "reason": "pixels that are no numbers"}


def made_metric(metric, method, value, low=None, high=None, n=8, **names):
    """A row of the metrics about counterfactuals."""
    parts = ["counterfactuals", metric, method, *names.values()]
    return {
        **{"row_id": "/".join(str(part) for part in parts if part), "status": "ok", "family": "counterfactuals"},
        **{"metric": metric, "classifier": CLASSIFIER, "method": method, "value": value},
        **{"ci_low": low, "ci_high": high, "n": n, "better": "higher", **names},
    }


def known_metrics():
    """Metrics that leave no doubt: one method reaches its targets and the other does not."""
    values = {"draws-smile": 0.9, "draws-hat": 0.1, "unchanged": 0.0, "nearest-real": 1.0}
    rows = []
    for method, value in values.items():
        ends = (max(0, value - 0.05), min(1, value + 0.05))
        rows.append(made_metric("target_accuracy", method, value, *ends))
        rows.append(made_metric("oracle_target_accuracy", method, value / 2, *ends, judge="smile-vit"))
        for metric in ("kernel_distance", "frechet_distance"):
            named = {"network": "portraits-features", "definition": "corrected"}
            rows.append({**made_metric(metric, method, 1 - value, **named), "better": "lower"})
        if method != "unchanged":
            for kind, share in (("changes_cause", 1.0), ("changes_beside_cause", 0.25)):
                rows.append(made_metric(kind, method, share * value, *ends, n=7, judge=READER))
                rows.append(made_metric(kind.replace("cause", "only_cause"), method, share, n=5, judge=READER))
            for kind, share in (("causal", 0.6), ("trivial", 0.3), ("collateral", 0.1)):
                rows.append(made_metric(f"{kind}_share", method, share, n=7, judge=READER))
            rows.append(made_metric("changes_cause", method, 1.0, n=6, judge=READER, concept="smile"))
    gap = ("draws-smile", 0.8, 0.7, 0.9)
    rows.append(made_metric("target_accuracy_difference", *gap, compared_with="draws-hat", p=0.001))
    return rows
