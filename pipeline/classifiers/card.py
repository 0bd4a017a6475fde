"""The model card that stands beside weights that this project trained."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.classifiers.train import Quality
from pipeline.section import Section


def model_card(
    name: str,
    recipe: Section,
    figures: dict[str, Any],
    *,
    seconds: float,
    device: str,
    weights: Path,
) -> str:
    """Markdown: what the network is, how it was made and how good it is.

    recipe: as a study says it. figures: "quality" and perhaps "as_trained" (Quality), "flips" ({concept: share}).
    """
    quality: Quality = figures["quality"]
    dataset = json.dumps(recipe.dataset.model_dump(mode="json"), sort_keys=True)
    lines = [
        f"# {name}",
        "",
        purpose(recipe),
        "",
        "| | |",
        "|---|---|",
        f"| architecture | timm {recipe.architecture} {json.dumps(recipe.options, sort_keys=True)} |",
        f"| tasks | {', '.join(recipe.tasks)} |",
        f"| data | {dataset}, split train, {recipe.rows or 'all'} images |",
        f"| planted shortcut | {shortcut(recipe)} |",
        f"| optimiser | AdamW, {recipe.steps} steps of {recipe.batch_size}, rate {recipe.learning_rate} |",
        f"| adversarial training | {adversarial(recipe)} |",
        f"| seed | {recipe.seed} |",
        f"| command | `make train NETWORK={name} STUDY=...` with the study of this recipe (`suite` if it ships) |",
        f"| time, device | {seconds:.0f} s of training, {device} |",
        f"| sha256 | `{hashlib.sha256(weights.read_bytes()).hexdigest()}` |",
        "",
        f"## Quality on {quality.rows:,} images of the split test",
        "",
        *quality_table(
            quality, "independent concepts, true labels" if hasattr(recipe.dataset, "world") else "as they are"
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


def purpose(recipe: Section) -> str:
    if recipe.steps == 0:
        return "An untrained network: a control that explanations must not find meaning in."
    if len(recipe.tasks) == 1:
        return f"A classifier of the task `{recipe.tasks[0]}`."
    return "A network with one head per task, calibrated by one temperature per head."


def shortcut(recipe: Section) -> str:
    planted = recipe.relabel
    if planted is None:
        return "none"
    return (
        f"where {planted.nuisance} is below {planted.below:g}, the label is read with the value of"
        f" `{planted.by}` in place of `{planted.concept}`"
    )


def adversarial(recipe: Section) -> str:
    if not recipe.epsilon:
        return "none"
    return f"L2 ball of radius {recipe.epsilon:g} (images in [0, 1]), {recipe.attack_steps} steps"


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
