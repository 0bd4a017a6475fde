"""Maps that follow known rules, for a study of the report's tests: the truth blurred, its mirror image, and noise."""

from itertools import combinations

import numpy as np
from scipy.ndimage import gaussian_filter

from pipeline.images import decode_mask
from pipeline.metrics.control_maps import CEILING, CONTROLS, RANDOM
from pipeline.metrics.paired import paired_bootstrap
from pipeline.metrics.statistics import bootstrap_mean
from pipeline.metrics.truth_maps import pointing_game, positive_pixels, truth_mass
from pipeline.noise import stream
from pipeline.tables import pack, read_table, write_table

NO_FLIP = "no intervention flips this decision"
UNFLIPPED = slice(1, 3)  # images that are said to be flipped by nothing
SCORES = {"truth_mass": truth_mass, "pointing_game": pointing_game}
ORIGIN = {"study": "tiny", "code": "f" * 64, "seed": 2026}
METHODS = {"blurred-truth": {"method": "blur"}, "mirrored": {"method": "mirror"}}


def draw_maps(positives: np.ndarray) -> dict[str, np.ndarray]:
    """Method or control -> maps (N, H, W) from the pixels (N, H, W) that truly matter; noise is coarse (N, 8, 8).

    The blurred truth is spoilt by speckle, the first images most.
    """
    speckle = stream(2, "maps", "test").random(positives.shape).astype(np.float32)
    spoilt = np.linspace(0.9, 0.1, len(positives), dtype=np.float32)[:, None, None] * speckle
    blurred = np.stack([gaussian_filter(mask.astype(np.float32), 1.0) for mask in positives]) + spoilt
    chance = stream(1, "maps", "test").random((len(positives), 8, 8)).astype(np.float32)
    return {"blurred-truth": blurred, "mirrored": blurred[:, ::-1], RANDOM: chance}


def add_maps(study, classifiers: list[str]):
    """Write the tables of the maps and of their scores and metrics, and add them to the files of a study."""
    images = read_table(study.files["images"], "images", ["image_id", "parts"]).to_pylist()
    parts = {row["image_id"]: {part["concept"]: decode_mask(part["mask"]) for part in row["parts"]} for row in images}
    metrics = read_table(study.files["metrics"], "metrics").to_pylist()
    study.files["saliency"] = []
    study.files["scores"] = []
    for classifier in classifiers:
        flips = flips_of(study, classifier)
        for image_id in list(parts)[UNFLIPPED]:
            flips[image_id] = dict.fromkeys(flips[image_id], False)
        positives = np.stack([positive_pixels(parts[image_id], flips[image_id]) for image_id in parts])
        maps = draw_maps(positives)
        rows = [map_row(classifier, name, *pair) for name in METHODS for pair in zip(parts, maps[name], strict=True)]
        write_part(study, "saliency", classifier, rows, ["images", "predictions"], options={"methods": METHODS})
        scores = [flip_row(classifier, image_id, *flip) for image_id in parts for flip in flips[image_id].items()]
        for metric, score in SCORES.items():
            found = {name: score(drawn, positives) for name, drawn in maps.items()}
            scores += [row for name, each in found.items() for row in score_rows(classifier, name, metric, parts, each)]
            metrics += metric_rows(classifier, metric, found)
        write_part(study, "scores", classifier, scores, ["images", "saliency", "scores"])
    study.rewrite("metrics", metrics)
    return study


def write_part(study, table: str, classifier: str, rows: list[dict], inputs: list[str], **more) -> None:
    path = study.folder / "tables" / table / classifier / "part-000.parquet"
    stage = {"saliency": "saliency", "scores": "score_saliency"}[table]
    write_table(path, table, rows, {**ORIGIN, "stage": stage, "inputs": inputs, **more})
    study.files[table].append(path)


def flips_of(study, classifier: str) -> dict[str, dict[str, bool]]:
    """Which concepts flip a decision, by image."""
    rows = read_table(study.files["predictions"], "predictions").to_pylist()
    own = {row["source_row_id"]: row for row in rows if row["classifier"] == classifier}
    flips: dict[str, dict[str, bool]] = {row["image_id"]: {} for row in own.values()}
    for row_id, row in own.items():
        if "/" in row_id:
            concept, found = row_id.split("/")[1].split("=")[0], flips[row["image_id"]]
            found[concept] = found.get(concept, False) or row["predicted"] != own[row["image_id"]]["predicted"]
    return flips


def map_row(classifier: str, method: str, image_id: str, drawn: np.ndarray) -> dict:
    return {
        **{"row_id": f"{classifier}/{method}/{image_id}", "image_id": image_id, "classifier": classifier},
        **{"method": method, "status": "ok", "target": 1, "map": pack("saliency", "map", drawn)},
        **{"shape": list(drawn.shape), "network_evaluations": 1},
    }


def flip_row(classifier: str, image_id: str, concept: str, flips: bool) -> dict:
    return {
        **{"row_id": f"flips/{classifier}/{image_id}/{concept}", "status": "ok", "family": "classifiers"},
        **{"image_id": image_id, "classifier": classifier, "metric": "flips", "concept": concept, "value": flips},
    }


def score_rows(classifier: str, method: str, metric: str, image_ids, found) -> list[dict]:
    """Scores of one method; images that cannot be scored say why."""
    return [
        {
            **{"row_id": f"{metric}/{classifier}/{method}/{image_id}", "family": "saliency", "image_id": image_id},
            **{"classifier": classifier, "metric": metric, **named(method)},
            **{"status": "ok" if known else "unscored", "reason": None if known else NO_FLIP},
            "value": float(value) if known else None,
        }
        for image_id, value, known in zip(image_ids, found.values, found.scored, strict=True)
    ]


def named(contender: str) -> dict:
    """The columns that name a method, or a control, which is of none."""
    return {"method": None, "control": contender} if contender in (*CONTROLS, CEILING) else {"method": contender}


def map_metric(classifier: str, method: str, metric: str, value, low, high, n, **names) -> dict:
    """A row of the metrics about maps; method and compared_with may be the name of a control.

    names: of what it is compared with, of an in-fill, of a control in the method's place; and p.
    """
    names = {**named(method), **names}
    if names.get("compared_with") in CONTROLS:
        names["control"] = names.pop("compared_with")
    told = (names.get(name) for name in ("control", "compared_with", "infill"))
    parts = ["saliency", metric, classifier, method, *told]
    return {
        **{"row_id": "/".join(part for part in parts if part), "status": "ok", "family": "saliency"},
        **{"metric": metric, "classifier": classifier, **names},
        **{"value": value, "ci_low": low, "ci_high": high, "n": n, "better": "higher"},
    }


def metric_rows(classifier: str, metric: str, found: dict) -> list[dict]:
    """Means and paired differences over the images that are scored."""
    rows = []
    for method, each in found.items():
        mean = bootstrap_mean(each.values[each.scored], seed=1, purpose=metric, samples=500)
        rows.append(map_metric(classifier, method, metric, mean.value, mean.low, mean.high, mean.n))
    for one, other in combinations(found, 2):
        both = found[one].scored & found[other].scored
        apart = (found[one].values - found[other].values)[both]
        gap, p = paired_bootstrap(apart, seed=1, purpose=metric, samples=500)
        numbers = (gap.value, gap.low, gap.high, gap.n)
        rows.append(map_metric(classifier, one, f"{metric}_difference", *numbers, compared_with=other, p=p))
    return rows
