"""The model cards that stand beside generators that this project trained."""

import json
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.digests import file_digest
from pipeline.metrics.autoencoding import LEAST_AUROC, LEAST_SIGNAL, Autoencoding
from pipeline.metrics.generated import LARGEST_DEVIATION, LEAST_AGREEMENT, Quality
from pipeline.study.training import AutoencoderRecipe, GeneratorRecipe, GuideTraining, ImageTraining, InfillTraining


def generator_card(
    name: str, recipe: GeneratorRecipe, quality: Quality, record: dict[str, Any], weights: Path, network: nn.Module
) -> str:
    """What a diffusion model is, how it was made and what its images are like."""
    return model_card(
        name,
        f"A diffusion model that draws images of {side(recipe)} pixels, without conditions (Dhariwal & Nichol 2021).",
        [
            *network_rows("U-Net of guided diffusion", recipe, network),
            f"| predicts | the {recipe.predicts}{' and the variance' if recipe.variance_weight else ''} |",
            *training_rows(name, recipe, record, weights),
        ],
        f"Gate: {quality.samples:,} images, drawn in {quality.steps} steps (DDIM)",
        [
            verdict(quality),
            *concept_tables(quality),
            *distance_table(quality),
            "",
            f"`{name}.png` shows images that it draws. `{name}-neighbours.png` shows in each row the image, among"
            " those drawn, that is nearest to a training image, then the next, each with its three nearest training"
            " images.",
        ],
    )


def guide_card(
    name: str,
    recipe: GuideTraining,
    accuracy: list[tuple[str, float]],
    rows: int,
    record: dict[str, Any],
    weights: Path,
    network: nn.Module,
) -> str:
    """What a classifier of noised images is, how it was made and how well it reads them.

    accuracy: of each part of the schedule, by its name. rows: images of the split test that were read.
    """
    return model_card(
        name,
        f"A classifier of noised images of {side(recipe)} pixels by the task `{recipe.task}`, whose gradient guides"
        " a diffusion model (classifier guidance; Dhariwal & Nichol 2021).",
        [
            *network_rows("descending half of a U-Net of guided diffusion", recipe, network),
            *training_rows(name, recipe, record, weights),
        ],
        f"Accuracy on {rows:,} images of the split test",
        [
            "Each image is noised at a step drawn from that part of the schedule.",
            "",
            "| noise of steps | accuracy |",
            "|---|---|",
            *(f"| {part} | {value:.3f} |" for part, value in accuracy),
        ],
    )


def autoencoder_card(
    name: str,
    recipe: AutoencoderRecipe,
    figures: Autoencoding,
    record: dict[str, Any],
    weights: Path,
    network: nn.Module,
) -> str:
    """What a diffusion autoencoder is, how it was made, how well it restores images and what its codes tell."""
    return model_card(
        name,
        f"A diffusion autoencoder for images of {side(recipe)} pixels: a semantic code of what an image shows, and the"
        " noise of its details (DiffAE; Preechakul et al. 2022).",
        [
            *network_rows("diffusion autoencoder", recipe, network),
            f"| predicts | the {recipe.predicts} |",
            *training_rows(name, recipe, record, weights),
        ],
        f"Gate: {len(figures.signal):,} images of the split test, encoded in {figures.steps} steps and decoded in"
        f" {figures.steps} (DDIM)",
        [
            autoencoder_verdict(figures),
            "",
            f"Peak signal-to-noise ratio of the restored images: {figures.signal.mean():.1f} dB in the mean,"
            f" {figures.signal.min():.1f} dB the lowest.",
            *probe_table(figures),
            "",
            f"`{name}.png` shows images of the split test, and below each what is restored of it.",
        ],
    )


def infill_card(
    name: str,
    recipe: InfillTraining,
    errors: dict[str, dict[str, float]],
    rows: int,
    record: dict[str, Any],
    weights: Path,
    network: nn.Module,
) -> str:
    """What an in-filler is, how it was made, and how near it comes to what holes hide.

    errors: of each in-filler by its name, for each kind of mask. rows: images of the split test that were filled.
    """
    kinds = list(next(iter(errors.values())))
    return model_card(
        name,
        f"An in-filler for images of {side(recipe)} pixels (variational autoencoder; Chang et al. 2019).",
        [
            *network_rows("convolutional variational autoencoder", recipe, network, stored="float32"),
            *training_rows(name, recipe, record, weights),
        ],
        f"Mean absolute error in the holes of {rows:,} images of the split test",
        [
            "In grey levels of 255, for each kind of mask, beside in-fillers without weights.",
            "",
            f"| in-filler | {' | '.join(kinds)} |",
            f"|---|{'---|' * len(kinds)}",
            *(f"| {each} | {' | '.join(f'{of[kind]:.1f}' for kind in kinds)} |" for each, of in errors.items()),
        ],
    )


def model_card(name: str, says: str, rows: list[str], heading: str, measured: list[str]) -> str:
    """Markdown: what a network is, a table of how it was made, and under a heading what was measured of it."""
    lines = [f"# {name}", "", says, "", "| | |", "|---|---|", *rows, "", f"## {heading}", "", *measured]
    return "\n".join(lines) + "\n"


def autoencoder_verdict(figures: Autoencoding) -> str:
    """Whether the gate is passed, in words."""
    asked = f"a mean of at least {LEAST_SIGNAL:g} dB"
    if any(probed.demanded for probed in figures.concepts.values()):
        asked += f", and an area of at least {LEAST_AUROC:g} of every concept with two values"
    if not figures.failing:
        return f"Passed: {asked}."
    return f"Not passed: it is asked for {asked}; this does not hold of {', '.join(figures.failing)}."


def probe_table(figures: Autoencoding) -> list[str]:
    """How well a line tells each concept by the semantic code."""
    if not figures.concepts:
        return []
    lines = [
        "",
        "Area under the ROC of linear probes of the semantic code (logistic regression), fitted to"
        f" {figures.fitted:,} training images and asked of {figures.tested:,} of the split test; of more than two"
        " values the mean of each against the rest:",
        "",
        "| concept | values | area | passes |",
        "|---|---|---|---|",
    ]
    for name, probed in figures.concepts.items():
        area = "one value only" if probed.auroc is None else f"{probed.auroc:.3f}"
        passed = ("yes" if probed.passes else "no") if probed.demanded else "not asked"
        lines.append(f"| {name} | {len(probed.values)} | {area} | {passed} |")
    return lines


def side(recipe: ImageTraining) -> str:
    return f"{recipe.dataset.size} x {recipe.dataset.size}"


def network_rows(kind: str, recipe: ImageTraining, network: nn.Module, stored: str = "float16") -> list[str]:
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return [
        f"| architecture | {kind} {json.dumps(recipe.network.model_dump(mode='json'), sort_keys=True)} |",
        f"| parameters | {parameters:,}, stored as {stored} |",
    ]


def training_rows(name: str, recipe: ImageTraining, record: dict[str, Any], weights: Path) -> list[str]:
    """What cards of all kinds say of how the weights came about.

    record: "seconds" and "device" of the training, None where nobody counted, and "images", how many it saw.
    """
    dataset = json.dumps(recipe.dataset.model_dump(mode="json"), sort_keys=True)
    schedule = getattr(recipe, "schedule", None)
    return [
        *([f"| schedule | {schedule.name}, {schedule.steps:,} steps |"] if schedule else []),
        f"| data | {dataset}, split train, {record['images']:,} images |",
        f"| optimiser | AdamW, {recipe.steps:,} steps of {recipe.batch_size}, rate {recipe.learning_rate:g},"
        f" weights averaged with decay {recipe.average:g} |",
        f"| mirrored | {'half of the images' if recipe.flips else 'none'} |",
        f"| seed | {recipe.seed} |",
        f"| command | `make train NETWORK={name} STUDY=...` with the study of this recipe (`suite` if it ships) |",
        f"| time, device | {spent(record)} |",
        f"| sha256 | `{file_digest(weights)}` |",
    ]


def spent(record: dict[str, Any]) -> str:
    if record["seconds"] is None:
        return "not noted"
    return f"{record['seconds']:,.0f} s of training" + (f", {record['device']}" if record["device"] else "")


def verdict(quality: Quality) -> str:
    """Whether the gate is passed, in words."""
    if quality.passes is None:
        return "No readers were named, so nothing is said of what the images show."
    two = any(figures.agreement is not None for figures in quality.concepts.values())
    demanded = [f"the readers agree on at least {LEAST_AGREEMENT:.0%} of the images"] if two else []
    demanded += [f"every value is as frequent as in the training images to {LARGEST_DEVIATION * 100:g} points"]
    asked = " and ".join(demanded)
    if quality.passes:
        return f"Passed: of every concept {asked}."
    failed = [name for name, figures in quality.concepts.items() if not figures.passes]
    return f"Not passed: it is asked that of every concept {asked}; this does not hold of {', '.join(failed)}."


def concept_tables(quality: Quality) -> list[str]:
    """What the readers see: their agreement, and how frequent each value is."""
    if not quality.concepts:
        return []
    readers = list(dict.fromkeys(reader for figures in quality.concepts.values() for reader in figures.shares))
    lines = ["", "| concept | readers agree | largest deviation | passes |", "|---|---|---|---|"]
    for name, figures in quality.concepts.items():
        agreed = "one reader" if figures.agreement is None else f"{figures.agreement:.1%}"
        passed = "yes" if figures.passes else "no"
        lines.append(f"| {name} | {agreed} | {figures.deviation * 100:.1f} points | {passed} |")
    lines += [
        "",
        "Share of the images with each value, corrected for what the reader confuses on real images of the split test:",
        "",
        f"| concept | value | training images | {' | '.join(readers)} |",
        "|---|---|---|" + "---|" * len(readers),
    ]
    for name, figures in quality.concepts.items():
        for index, value in enumerate(figures.values):
            read = [f"{figures.shares[reader][index]:.1%}" if reader in figures.shares else "" for reader in readers]
            lines.append(f"| {name} | {value} | {figures.expected[index]:.1%} | {' | '.join(read)} |")
    return lines


def distance_table(quality: Quality) -> list[str]:
    """How near the images are to training images, beside real ones that were not trained on, and how like real ones."""
    spaces = {"pixels": quality.pixels}
    if quality.features is not None:
        spaces[f"features of {quality.network}"] = quality.features
    lines = [
        "",
        "Median distance to the nearest training image (root mean square), beside that of real images of the split"
        " test; and the share of the drawn images that are nearer than the nearest 1 % of those. About 1 % is expected"
        " of images that are no copies.",
        "",
        "| distance in | drawn | real | nearer than 1 % |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {space} | {near.median[0]:.4f} | {near.median[1]:.4f} | {near.nearer:.1%} |"
        for space, near in spaces.items()
    ]
    if quality.kernel_distance is not None:
        lines += [
            "",
            f"Kernel distance in the features of {quality.network}, to real images of the split test:"
            f" {quality.kernel_distance:.5f}; of as many training images: {quality.kernel_control:.5f}.",
        ]
    return lines
