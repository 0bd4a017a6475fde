"""The model card that stands beside weights that this project trained."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.classifiers.train import Quality


def model_card(
    name: str,
    options: dict[str, Any],
    figures: dict[str, Any],
    *,
    seconds: float,
    device: str,
    weights: Path,
) -> str:
    """Markdown: what the network is, how it was made and how good it is.

    options: the recipe. figures: "quality" and perhaps "as_trained" (Quality), "flips" ({concept: share}).
    """
    quality: Quality = figures["quality"]
    lines = [
        f"# {name}",
        "",
        purpose(options),
        "",
        "| | |",
        "|---|---|",
        f"| architecture | timm {options['architecture']} {json.dumps(options['options'], sort_keys=True)} |",
        f"| tasks | {', '.join(options['tasks'])} |",
        f"| data | {json.dumps(options['dataset'], sort_keys=True)}, split train, {options['rows'] or 'all'} images |",
        f"| planted shortcut | {shortcut(options)} |",
        f"| optimiser | AdamW, {options['steps']} steps of {options['batch_size']}, rate {options['learning_rate']} |",
        f"| adversarial training | {adversarial(options)} |",
        f"| seed | {options['seed']} |",
        f"| command | `make train NETWORK={name} STUDY=...` with the study of this recipe (`suite` if it ships) |",
        f"| time, device | {seconds:.0f} s of training, {device} |",
        f"| sha256 | `{hashlib.sha256(weights.read_bytes()).hexdigest()}` |",
        "",
        f"## Quality on {quality.rows:,} images of the split test",
        "",
        *quality_table(
            quality, "independent concepts, true labels" if "world" in options["dataset"] else "as they are"
        ),
    ]
    if "as_trained" in figures:
        lines += ["", *quality_table(figures["as_trained"], "concepts and labels distributed as in training")]
    if "flips" in figures:
        lines += [
            "",
            "Share of 500 images whose decision changes with the concept alone:",
            "",
            "| concept | share |",
            "|---|---|",
        ]
        lines += [f"| {concept} | {value:.3f} |" for concept, value in figures["flips"].items()]
    return "\n".join(lines) + "\n"


def purpose(options: dict[str, Any]) -> str:
    if options["steps"] == 0:
        return "An untrained network: a control that explanations must not find meaning in."
    if len(options["tasks"]) == 1:
        return f"A classifier of the task `{options['tasks'][0]}`."
    return "A network with one head per task, calibrated by one temperature per head."


def shortcut(options: dict[str, Any]) -> str:
    planted = options["relabel"]
    if planted is None:
        return "none"
    return (
        f"where {planted['nuisance']} is below {planted['below']:g}, the label is read with the value of"
        f" `{planted['by']}` in place of `{planted['concept']}`"
    )


def adversarial(options: dict[str, Any]) -> str:
    if not options["epsilon"]:
        return "none"
    return f"L2 ball of radius {options['epsilon']:g} (images in [0, 1]), {options['attack_steps']} steps"


def quality_table(quality: Quality, how: str) -> list[str]:
    attacked = bool(quality.attacked_accuracy)
    lines = [
        f"Images: {how}.",
        "",
        "| task | accuracy | expected calibration error |"
        + (f" accuracy under attack, 20 steps, {quality.attacked_rows} images |" if attacked else ""),
        "|---|---|---|" + ("---|" if attacked else ""),
    ]
    for task, accuracy in quality.accuracy.items():
        cells = [task, f"{accuracy:.4f}", f"{quality.calibration_error[task]:.4f}"]
        cells += [f"{quality.attacked_accuracy[task]:.4f}"] if attacked else []
        lines.append(f"| {' | '.join(cells)} |")
    return lines
