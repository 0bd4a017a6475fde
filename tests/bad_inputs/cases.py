"""Every kind of bad input, how to make it, and the sentence that a person reads.

`python -m tests.bad_inputs.cases` writes docs/errors.md anew.
"""

# ruff: noqa: E501  (sentences stand as they are read)

import io
import json
import os
import pickle
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from pipeline.classifiers.description import read_description
from tests.bad_inputs.bench import BRIGHTNESS, CLASSES, Bench

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
GOOD = "study: tiny\ndataset: {world: shapes, size: 32, rows: 3}\nclassifiers: {mine: {onnx: mine.onnx, classes: [a, b]}}\n"
OPEN = GOOD.replace("onnx: mine.onnx", "entry_point: mine.py:load")
ADM = "generators: {adm: {checkpoint: adm.pt, preset: imagenet-256}}\n"
GUIDED = "method: classifier-guidance, generator: adm, guide: guide"


def made(options: str, classifiers: str = OPEN) -> str:
    """A study with one method that makes counterfactuals."""
    return f"{classifiers}counterfactuals: {{it: {{{options}}}}}\n"


def guided(described: str) -> str:
    """A study whose method is guided by a network that is described so."""
    return made(GUIDED) + ADM.replace("}}", f"}}, guide: {{checkpoint: guide.pt, {described}}}}}")


@dataclass(frozen=True)
class StudyMistake:
    """what: the mistake in words. text: the file tiny.yaml. sentence: what reading the workflow ends with."""

    what: str
    text: str
    sentence: str


@dataclass(frozen=True)
class Refusal:
    """what: the input in words. make: makes it and returns the command that meets it. sentence: the last line it says.

    Between two `…` of a sentence stands what differs between machines and versions.
    """

    what: str
    make: Callable[[Bench], list[str]]
    sentence: str


@dataclass(frozen=True)
class BrokenFile:
    """what: the file in words. name: in the folder photos. content: its bytes. reason: in the failed row."""

    what: str
    name: str
    content: Callable[[], bytes]
    reason: str


@dataclass(frozen=True)
class Accepted:
    """what: the file in words. choice: what becomes of it. pixel: the red, green and blue of all its pixels."""

    what: str
    name: str
    content: Callable[[], bytes]
    choice: str
    pixel: tuple[int, int, int]
    tolerance: int = 0


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def noise(height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def animated(kind: str) -> bytes:
    return encoded(noise(), kind, save_all=True, append_images=[Image.fromarray(255 - noise())])


def deep_colour_png(colour: tuple[int, int, int]) -> bytes:
    """A PNG of 32 x 32 pixels with 16 bits for each channel, which Pillow reads but cannot write."""
    rows = (b"\0" + struct.pack(">3H", *colour) * 32) * 32
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


class MakesFolder:
    """Its pickle makes the folder `executed` in the working directory when it is read."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def with_pickle(bench: Bench, name: str) -> str:
    """A file of weights whose pickle runs code."""
    content = {"state_dict": MakesFolder()}
    if name.endswith((".pth", ".pt", ".pt2")):
        torch.save(content, bench.folder / name)
    else:
        bench.write(name, pickle.dumps(content))
    return name


def checkpoint(bench: Bench, change: Callable[[dict], dict]) -> dict:
    """The entry of a timm network with a checkpoint of changed weights."""
    save_file(change(bench.state()), bench.folder / "mine.safetensors")
    return {"timm": "test_resnet", "checkpoint": "mine.safetensors", "classes": CLASSES, "size": 32}


def logits_of(bench: Bench, values: str) -> dict:
    """The entry of a classifier that answers with an expression of the images' mean brightness `b` (N,)."""
    return bench.entry_point(
        f"import torch\n\ndef load():\n    def logits(images):\n        b = images.mean((1, 2, 3))\n"
        f"        return {values}\n    return logits\n"
    )


def changed_meanwhile(bench: Bench) -> list[str]:
    """The command that runs a network of which the state was another one when it was identified."""
    arguments = bench.predict(bench.entry_point(BRIGHTNESS))
    known = json.loads((bench.folder / "mine.json").read_text())
    bench.write("mine.json", json.dumps({**known, "state": "sha256:1f"}))
    return arguments


def truncated(bench: Bench) -> str:
    name = bench.network()
    path = bench.folder / name
    path.write_bytes(path.read_bytes()[:5000])
    return name


def of_the_hub(bench: Bench) -> str:
    """A file of ours whose description names an architecture of the hub."""
    description = read_description(bench.folder / bench.network())
    text = json.dumps({**description, "architecture": "hf-hub:owner/birds"})
    save_file(bench.state(), bench.folder / "mine.safetensors", {"classifier": text})
    return "mine.safetensors"


def exported(bench: Bench, place: str, code: str) -> dict:
    """The entry of an exported program with code where its graph matches a pattern."""
    program = torch.export.export(torch.nn.Flatten(), (torch.rand(2, 3, 4, 4),))
    torch.export.save(program, bench.folder / "good.pt2")
    with ZipFile(bench.folder / "good.pt2") as good, ZipFile(bench.folder / "mine.pt2", "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            bad.writestr(name, re.sub(place, code, content.decode()) if "/models/" in name else content)
    return {"torch_export": "mine.pt2", "classes": CLASSES, "trusted": True}


def writing(bench: Bench) -> dict:
    """The entry of a TorchScript file that writes another file."""

    class Writes(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            torch.save(images, "executed")
            return images.mean((2, 3))

    torch.jit.save(torch.jit.script(Writes()), bench.folder / "mine.pt")
    return {"torchscript": "mine.pt", "classes": CLASSES, "trusted": True}


def labelled(bench: Bench, lines: str, **options: object) -> list[str]:
    bench.photos()
    bench.write("labels.csv", f"file,label\n{lines}")
    return bench.sample(labels="labels.csv", **options)


def repeated_id(bench: Bench) -> list[str]:
    image = {"bytes": encoded(noise()), "path": None}
    bench.parquet("birds.parquet", image=[image, image], name=["a", "a"], label=["wren", "owl"])
    return bench.sample(huggingface="birds.parquet", id_column="name", rows=2, shares={"test": 1})


def unknown_to_classifier(bench: Bench) -> list[str]:
    entry = bench.entry_point(BRIGHTNESS) | {"classes": ["frown", "grin"], "task": "hair"}
    return bench.predict(entry)


def damaged_table(bench: Bench) -> list[str]:
    bench.write("images.parquet", bench.images.read_bytes()[:-100])
    return bench.predict(bench.entry_point(BRIGHTNESS), images="images.parquet")


def below_a_file(bench: Bench) -> str:
    return bench.write("taken", "a file")


def few(bench: Bench, **options: object) -> list[str]:
    bench.photos()
    return bench.sample(**options)


STUDIES = [
    StudyMistake(
        "an unknown key",
        GOOD + "shard_row: 2\n",
        "tiny.yaml: unknown key 'shard_row'; did you mean 'shard_rows'?",
    ),
    StudyMistake(
        "a value of the wrong type",
        GOOD.replace("rows: 3", "rows: many"),
        "tiny.yaml: dataset.rows: must be a whole number of at least 1, not 'many'.",
    ),
    StudyMistake(
        "a value out of range",
        GOOD.replace("size: 32", "size: 3"),
        "tiny.yaml: dataset.size: must be a whole number from 32 to 256, not 3.",
    ),
    StudyMistake(
        "a missing key",
        GOOD.replace("study: tiny\n", ""),
        "tiny.yaml: the key 'study' is missing; write for example study: mine",
    ),
    StudyMistake(
        "an exported program that nobody says to trust",
        GOOD.replace("onnx: mine.onnx", "torch_export: mine.pt2"),
        "tiny.yaml: classifiers.mine: torch_export is a program, and loading it runs what the file holds; if you made the file or trust who did, add `trusted: true`, else get the network as safetensors or ONNX.",
    ),
    StudyMistake(
        "a TorchScript file that nobody says to trust",
        GOOD.replace("onnx: mine.onnx", "torchscript: mine.pt"),
        "tiny.yaml: classifiers.mine: torchscript is a program, and loading it runs what the file holds; if you made the file or trust who did, add `trusted: true`, else get the network as safetensors or ONNX.",
    ),
    StudyMistake(
        "an unknown method",
        GOOD + "saliency: {map: {method: gradcam}}\n",
        "tiny.yaml: saliency.map: there is no method 'gradcam'; did you mean 'grad-cam'?",
    ),
    StudyMistake(
        "a method that is not named",
        GOOD + "saliency: {map: {masks: 4}}\n",
        "tiny.yaml: saliency.map: the key 'method' is missing; write for example method: bbmp",
    ),
    StudyMistake(
        "a number where a section belongs",
        GOOD + "saliency: {map: 3}\n",
        "tiny.yaml: saliency.map: must be a section with keys such as method, not 3.",
    ),
    StudyMistake(
        "an unknown option of a method",
        GOOD + "saliency: {map: {method: fido, mask: 4}}\n",
        "tiny.yaml: saliency.map: unknown key 'mask'; did you mean 'masks'?",
    ),
    StudyMistake(
        "an in-filler that is not defined",
        GOOD + "saliency: {map: {method: fido, infill: blurr}}\n",
        "tiny.yaml: saliency.map.infill: there is no 'blurr'; did you mean 'blur'?",
    ),
    StudyMistake(
        "an unknown option of an in-filler",
        GOOD + "saliency: {map: {method: fido, infill: {infill: blur, sigm: 5}}}\n",
        "tiny.yaml: saliency.map.infill: unknown key 'sigm'; did you mean 'sigma'?",
    ),
    StudyMistake(
        "an in-filler that is never used",
        GOOD + "infills: {faces: {file: a.safetensors}}\n",
        "tiny.yaml: infills.faces: it is never used; name it as the infill of a method or in evaluation, or remove it.",
    ),
    StudyMistake(
        "an oracle that is not defined",
        GOOD + "oracles: [min]\n",
        "tiny.yaml: oracles: there is no 'min'; did you mean 'mine'?",
    ),
    StudyMistake(
        "a generator that is not defined",
        GOOD + "counterfactuals: {dvce: {method: dvce, generator: facs}}\ngenerators: {faces: {file: a.safetensors}}\n",
        "tiny.yaml: counterfactuals.dvce.generator: there is no 'facs'; did you mean 'faces'?",
    ),
    StudyMistake(
        "an unknown method that makes counterfactuals",
        made("method: dcve, generator: adm"),
        "tiny.yaml: counterfactuals.it: there is no method 'dcve'; did you mean 'dvce'?",
    ),
    StudyMistake(
        "a method without the generator that it needs",
        made("method: dvce") + ADM,
        "tiny.yaml: counterfactuals.it: the key 'generator' is missing; write for example generator: portraits-adm",
    ),
    StudyMistake(
        "a method without the guide that it needs",
        made("method: classifier-guidance, generator: adm") + ADM,
        "tiny.yaml: counterfactuals.it: the key 'guide' is missing; write for example guide: portraits-guide",
    ),
    StudyMistake(
        "a walk of which every step is left out",
        made("method: dvce, generator: adm, steps: 50, skip: 50") + ADM,
        "tiny.yaml: counterfactuals.it: skip is 50 of 50 steps; use 0 to 49.",
    ),
    StudyMistake(
        "more steps than the generator was trained on",
        made("method: dvce, generator: adm, steps: 2000") + ADM,
        "counterfactuals.it.steps is 2000, and generator 'adm' was trained on 1000 steps; use 1 to 1000.",
    ),
    StudyMistake(
        "a value of a method that makes the name of another",
        GOOD + "saliency: {map: {method: lime, vary: {samples: [64]}}, map-samples-64: {method: occlusion}}\n",
        "tiny.yaml: saliency: two methods would be called 'map-samples-64'; give one another name, or other values.",
    ),
    StudyMistake(
        "a method with the name of a control",
        OPEN + "counterfactuals: {unchanged: {method: pgd}}\n",
        "tiny.yaml: counterfactuals.unchanged: a control that is scored beside every method is called so; rename the method.",
    ),
    StudyMistake(
        "an even side of a dilation",
        made("method: ace, generator: adm, dilation: 4") + ADM,
        "tiny.yaml: counterfactuals.it.dilation: must be an odd number, such as 5, not 4.",
    ),
    StudyMistake(
        "an option of a method out of range",
        made("method: dvce, generator: adm, distance_power: 3") + ADM,
        "tiny.yaml: counterfactuals.it.distance_power: must be a number from 1 to 2, not 3.",
    ),
    StudyMistake(
        "a helper of the cone that is not defined",
        made("method: dvce, generator: adm, cone: {helper: mien}") + ADM,
        "tiny.yaml: counterfactuals.it.cone.helper: there is no 'mien'; did you mean 'mine'?",
    ),
    StudyMistake(
        "a method that is to explain a classifier that is not defined",
        made("method: pgd, classifiers: [mien]"),
        "tiny.yaml: counterfactuals.it.classifiers: there is no 'mien'; did you mean 'mine'?",
    ),
    StudyMistake(
        "a guide that is no classifier of noised images",
        guided("preset: imagenet-256"),
        "counterfactuals.it.guide: generator 'guide' is a diffusion model; name a classifier of noised images here.",
    ),
    StudyMistake(
        "a guide of another size than the generator",
        guided("preset: imagenet-64-classifier"),
        "counterfactuals.it.guide: generator 'guide' takes images of 64 pixels and the generator makes them of 256; use a guide that was trained at the generator's size.",
    ),
    StudyMistake(
        "a guide of other classes than the classifier",
        guided("preset: imagenet-256-classifier, classes: [b, a]"),
        "counterfactuals.it.guide: 'guide' tells b, a apart, and classifier 'mine' has the classes a, b; name a guide that was trained with the same classes, or say by `classifiers` which classifiers the method explains.",
    ),
    StudyMistake(
        "a generator that must be told a class",
        made("method: dvce, generator: adm") + ADM.replace("-256", "-256-conditional"),
        "counterfactuals.it.generator: generator 'adm' must be told a class of its own, which no method does; use one without classes, such as a checkpoint with `preset: imagenet-256`.",
    ),
    StudyMistake(
        "a generator that comes from nowhere",
        made("method: dvce, generator: adm") + "generators: {adm: {}}\n",
        "tiny.yaml: generators.adm: a generator has exactly one of the keys file, trained, checkpoint, diffusers; here there is none.",
    ),
    StudyMistake(
        "a generator that comes from two places",
        made("method: dvce, generator: adm") + "generators: {adm: {file: adm.safetensors, checkpoint: adm.pt}}\n",
        "tiny.yaml: generators.adm: a generator has exactly one of the keys file, trained, checkpoint, diffusers; here there is file and checkpoint.",
    ),
    StudyMistake(
        "a generator whose file says already what it is",
        made("method: dvce, generator: adm") + "generators: {adm: {file: adm.safetensors, preset: imagenet-256}}\n",
        "tiny.yaml: generators.adm: file says preset itself; leave preset out.",
    ),
    StudyMistake(
        "a target that is no class",
        made("method: pgd, target: {pairs: {a: bb}}"),
        "counterfactuals.it.target: mine: 'bb' is none of the 2 classes; did you mean 'b'?",
    ),
    StudyMistake(
        "a table of targets that does not exist",
        made("method: pgd, target: {table: targets.csv}"),
        "counterfactuals.it.target: there is no file targets.csv; give the path of a .csv file.",
    ),
    StudyMistake(
        "targets in a word that there is not",
        made("method: pgd, target: neer"),
        "tiny.yaml: counterfactuals.it.target: must be next, second-best, most-confused, near or far or a section with keys such as fixed, pairs or table, not 'neer'.",
    ),
    StudyMistake(
        "a part of the images that there is not",
        made("method: dvce, generator: adm, immutable: [colour]") + ADM,
        "counterfactuals.it.immutable: the images have no part 'colour'; there are red_circle, green_circle, blue_circle, red_rectangle, green_rectangle, blue_rectangle.",
    ),
    StudyMistake(
        "a region that comes from nowhere",
        made("method: region-guidance, generator: adm, region: {}") + ADM,
        "tiny.yaml: counterfactuals.it.region: a region has exactly one of the keys parts, saliency, drawn; here there is none.",
    ),
    StudyMistake(
        "a region of maps that nothing makes",
        made("method: region-guidance, generator: adm, region: {saliency: maps}") + ADM,
        "tiny.yaml: counterfactuals.it.region.saliency: there is no 'maps'; none is defined yet.",
    ),
    StudyMistake(
        "maps of a direction that there is not",
        OPEN
        + "directions: {gcd: {method: gcd, autoencoder: portraits-dae}}\nattributions: {map: {method: bb-lig, direction: gdc}}\n",
        "tiny.yaml: attributions.map.direction: there is no 'gdc'; did you mean 'gcd'?",
    ),
    StudyMistake(
        "a drawn region that does not exist",
        made("method: region-guidance, generator: adm, region: {drawn: mouth.png}") + ADM,
        "counterfactuals.it.region.drawn: there is no file mouth.png; give the path of an image of the region.",
    ),
    StudyMistake(
        "mean and std of pixels from 0 to 255",
        GOOD.replace("classes:", "mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375], classes:"),
        "tiny.yaml: classifiers.mine: mean and std are of images in [0, 1], not from 0 to 255; write `mean: [0.485, 0.456, 0.406]` and `std: [0.229, 0.224, 0.225]`.",
    ),
    StudyMistake(
        "counterfactuals that need the gradients of a black box",
        made("method: pgd", GOOD),
        "counterfactuals.it: pgd needs gradients and classifier 'mine' gives none (it is a black box); load the network in another format, or say by `classifiers` which classifiers the method explains.",
    ),
    StudyMistake(
        "maps that need the gradients of a black box",
        GOOD + "saliency: {map: {method: gradient}}\n",
        "saliency.map: gradient needs gradients and classifier 'mine' gives none (it is a black box); load the network in another format, or say by `classifiers` which classifiers the method explains.",
    ),
    StudyMistake(
        "a generator that is never used",
        GOOD + "generators: {faces: {file: a.safetensors}}\n",
        "tiny.yaml: generators.faces: it is never used; name it as the generator or guide of a method, or remove it.",
    ),
    StudyMistake(
        "a checkpoint that nothing describes",
        GOOD + "generators: {faces: {checkpoint: a.pt}}\n",
        "tiny.yaml: generators.faces: weights alone do not say what they are of; add `preset: imagenet-256` or the name of another published network, or its `shape` with size, channels and multipliers.",
    ),
    StudyMistake(
        "a recipe of no kind",
        GOOD + "training: {faces: {dataset: {world: shapes}, unnet: {channels: 32, multipliers: [1, 2]}}}\n",
        "tiny.yaml: training.faces: a recipe has exactly one of the keys architecture, unet, noisy_classifier, autoencoder, vae; did you mean 'unet' for 'unnet'?",
    ),
    StudyMistake(
        "a network of a width that cannot be",
        GOOD + "training: {faces: {dataset: {world: shapes}, unet: {channels: 40, multipliers: [1, 2]}}}\n",
        "tiny.yaml: training.faces: channels 40 times multipliers [1.0, 2.0] gives 40; every level needs a multiple of 32, such as channels: 32 with multipliers: [1, 2, 3].",
    ),
    StudyMistake(
        "two kinds of images",
        GOOD.replace("world: shapes", "world: shapes, folder: photos"),
        "tiny.yaml: dataset: a dataset has exactly one of the keys digits, folder, huggingface, imagenet, world; here there are world and folder.",
    ),
    StudyMistake(
        "no valid YAML",
        "study: [",
        "tiny.yaml is not readable as YAML: line 1, column 9: expected the node content, but found '<stream end>'; correct it there.",
    ),
    StudyMistake(
        "a key that stands twice",
        GOOD + "seed: 1\nseed: 2\n",
        "tiny.yaml is not readable as YAML: line 5, column 1: the key 'seed' stands twice; correct it there.",
    ),
    StudyMistake(
        "a folder of images that does not exist",
        GOOD.replace("{world: shapes, size: 32, rows: 3}", "{folder: photos}"),
        "dataset.folder: photos does not exist; set it to where your files are.",
    ),
]

REFUSALS = [
    Refusal(
        "a folder of images that does not exist",
        lambda bench: bench.sample(),
        "the folder photos does not exist; set dataset.folder to the path of a folder of images.",
    ),
    Refusal(
        "an empty folder of images",
        lambda bench: (bench.folder / "photos").mkdir() or bench.sample(),
        "the folder photos holds no images; put files into it whose names end in one of .bmp, .gif, .jpeg, .jpg, .png, .tif, .tiff, .webp.",
    ),
    Refusal(
        "a table of labels that does not exist",
        lambda bench: few(bench, labels="labels.csv"),
        "the label file labels.csv does not exist; give the path of a .csv, .tsv or .parquet file.",
    ),
    Refusal(
        "an image that the table of labels names and that does not exist",
        lambda bench: labelled(bench, "cats/1.png,cat\ncats/9.png,cat\n", unlisted="ignore"),
        "labels.csv, line 3: the image photos/cats/9.png does not exist; correct or remove the row.",
    ),
    Refusal(
        "an image twice in the table of labels",
        lambda bench: labelled(bench, "cats/1.png,cat\ncats/1.png,cat\n", unlisted="ignore"),
        "labels.csv names cats/1.png twice, in line 2 and line 3; remove one of the two rows.",
    ),
    Refusal(
        "a folder of ImageNet that holds something else",
        lambda bench: bench.photos("cats/1.png") or bench.sample(imagenet="photos"),
        "the folder photos holds neither folders named by WordNet ids, such as n01440764, nor files such as ILSVRC2012_val_00000001.JPEG; unpack ILSVRC2012_img_val.tar there.",
    ),
    Refusal(
        "an id twice in a Hugging Face dataset",
        repeated_id,
        'the dataset "birds.parquet" has the id "a" twice in the column name, in rows 0 and 1 of train; set dataset.id_column to a column of unique ids, or leave it out.',
    ),
    Refusal(
        "a label outside the classes of the dataset",
        lambda bench: few(bench, classes=["cats", "birds"]),
        'the folder photos has the label "dogs" in the file dogs/3.png, which is no class; correct it, or add it to dataset.classes: [cats, birds].',
    ),
    Refusal(
        "a label that the classifier does not know",
        unknown_to_classifier,
        "the label 'blond' of the task hair is none of the 2 classes of mine (frown, grin); name the classes of both alike.",
    ),
    Refusal(
        "fewer images than rows",
        lambda bench: few(bench, rows=5),
        "the folder photos (split test) has 3 images, but 5 are needed; set dataset.rows to 3 or fewer, or add images.",
    ),
    Refusal(
        "a Hugging Face dataset on the hub, without a network",
        lambda bench: bench.sample(huggingface="owner/birds", rows=2),
        'the Hugging Face Hub cannot be reached and the dataset "owner/birds" is not in the cache; run once with a network, or set dataset.huggingface to a local path, for example data/birds.parquet.',
    ),
    Refusal(
        "a file of weights that does not exist",
        lambda bench: bench.identify({"file": "absent.safetensors"}),
        "classifier 'mine': absent.safetensors does not exist; correct the path (relative paths count from the working directory), or download or train the network first.",
    ),
    Refusal(
        "weights with another sha256 than the study says",
        lambda bench: bench.identify({"file": bench.network(), "sha256": "0" * 64}),
        "classifier 'mine': mine.safetensors has sha256 …, expected 0000…; get the file again, or correct `sha256` if the new file is meant.",
    ),
    Refusal(
        "a file of weights that was cut short",
        lambda bench: bench.predict({"file": truncated(bench)}),
        "classifier 'mine': mine.safetensors is not a safetensors file, or is incomplete (…); get it again.",
    ),
    Refusal(
        "a pickle that runs code, as a checkpoint",
        lambda bench: bench.predict(
            {"timm": "test_resnet", "checkpoint": with_pickle(bench, "mine.pth"), "classes": CLASSES}
        ),
        "classifier 'mine': mine.pth holds more than weights, and reading it could run code, so it was refused; save its state_dict alone, best as .safetensors.",
    ),
    Refusal(
        "a pickle that runs code, named .safetensors",
        lambda bench: bench.predict({"file": with_pickle(bench, "mine.safetensors")}),
        "classifier 'mine': mine.safetensors is not a safetensors file, or is incomplete (…); get it again.",
    ),
    Refusal(
        "a pickle that runs code, as an exported program",
        lambda bench: bench.predict(
            {"torch_export": with_pickle(bench, "mine.pt2"), "classes": CLASSES, "trusted": True}
        ),
        "classifier 'mine': mine.pt2 cannot be read as an exported program (…): it is of another kind, incomplete, from another torch version, or holds code; save it again with torch.export.save.",
    ),
    Refusal(
        "a pickle that runs code, as TorchScript",
        lambda bench: bench.predict(
            {"torchscript": with_pickle(bench, "mine.pt"), "classes": CLASSES, "trusted": True}
        ),
        "classifier 'mine': mine.pt is not a TorchScript file, or is incomplete; save the network with torch.jit.save, or for weights alone give `timm: <architecture>` with `checkpoint: mine.pt`.",
    ),
    Refusal(
        "an exported program that calls other functions than operations on tensors",
        lambda bench: bench.predict(exported(bench, '"target": "[^"]*"', '"target": "torch.os.mkdir"')),
        "classifier 'mine': mine.pt2 holds code in place of an operation (torch.os.mkdir), which a network does not need and which could do anything when it is loaded, so it was refused; give the network as safetensors, as ONNX or by an entry_point.",
    ),
    Refusal(
        "TorchScript that writes files",
        lambda bench: bench.predict(writing(bench)),
        "classifier 'mine': mine.pt holds a file operation (save in code/…), which a network does not need and which could do anything when it is loaded, so it was refused; give the network as safetensors, as ONNX or by an entry_point.",
    ),
    Refusal(
        "a description that names an architecture of the hub",
        lambda bench: bench.predict({"file": of_the_hub(bench)}),
        "classifier 'mine': the architecture 'hf-hub:owner/birds' is one of the hub; name one that timm has, such as resnet18.",
    ),
    Refusal(
        "a study whose name a shell would run",
        lambda bench: ["plan", "--study", "$(mkdir executed)"],
        "the study '$(mkdir executed)' has the character '$' in its name, and names go through the shell of a cluster; rename it to letters, digits, spaces and ./_-+=@,() alone.",
    ),
    Refusal(
        "options that lead timm to other weights",
        lambda bench: bench.predict(
            {
                "timm": "test_resnet",
                "random_weights": 1,
                "classes": CLASSES,
                "options": {"checkpoint_path": "other.pth"},
            }
        ),
        "classifier 'mine': options has checkpoint_path, which would fetch or read other weights; leave it out.",
    ),
    Refusal(
        "a pickle that runs code, as ONNX",
        lambda bench: bench.predict({"onnx": with_pickle(bench, "mine.onnx"), "classes": CLASSES}),
        "classifier 'mine': onnxruntime cannot open mine.onnx (…); export it again, with an opset that this onnxruntime knows.",
    ),
    Refusal(
        "a checkpoint that lacks weights",
        lambda bench: bench.predict(
            checkpoint(bench, lambda state: {key: value for key, value in state.items() if "layer4" not in key})
        ),
        "classifier 'mine': the weights in mine.safetensors do not fit the architecture: the file lacks layer4.0.conv1.weight, layer4.0.bn1.weight, layer4.0.bn1.bias and 15 more. Name the architecture that was trained, with its `options`.",
    ),
    Refusal(
        "a checkpoint with weights besides",
        lambda bench: bench.predict(checkpoint(bench, lambda state: {**state, "head.scale": torch.ones(1)})),
        "classifier 'mine': the weights in mine.safetensors do not fit the architecture: the file has besides head.scale. Name the architecture that was trained, with its `options`.",
    ),
    Refusal(
        "pretrained weights of timm, without a network",
        lambda bench: bench.predict({"timm": "resnet18.a1_in1k"}),
        "classifier 'mine': the pretrained weights of resnet18.a1_in1k are not in the cache and cannot be fetched (…); connect to the network once, or give a local file, such as `checkpoint: resources/weights.safetensors`.",
    ),
    Refusal(
        "a network on the hub, without a network",
        lambda bench: bench.predict({"timm": "hf-hub:owner/birds", "classes": CLASSES}),
        "classifier 'mine': the pretrained weights of hf-hub:owner/birds are not in the cache and cannot be fetched (…); connect to the network once, or give a local file, such as `checkpoint: resources/weights.safetensors`.",
    ),
    Refusal(
        "an architecture that timm does not have",
        lambda bench: bench.predict({"timm": "resnet81"}),
        "classifier 'mine': timm has no architecture 'resnet81'; did you mean 'resnet18'?",
    ),
    Refusal(
        "an entry point that does not exist",
        lambda bench: bench.predict({**bench.entry_point(BRIGHTNESS), "entry_point": "mine.py:laod"}),
        "classifier 'mine': mine.py has no function 'laod'; did you mean 'load'?",
    ),
    Refusal(
        "another number of logits than classes",
        lambda bench: bench.predict(logits_of(bench, "torch.stack([b, b, b], 1)")),
        "classifier 'mine' returned outputs of shape (…, 3), expected (N, 2) for its classes absent, present; give one class name for each output, in the network's order, or for a multi-label network the column to read, such as `output: {sigmoid: 0}`.",
    ),
    Refusal(
        "logits that are NaN",
        lambda bench: bench.predict(logits_of(bench, "torch.stack([b, b * float('nan')], 1)")),
        "classifier 'mine' gave NaN or infinite logits for … images (first: row …), expected finite numbers; check its weights, mean, std and temperature.",
    ),
    Refusal(
        "infinite logits",
        lambda bench: bench.predict(logits_of(bench, "torch.stack([b, b / 0], 1)")),
        "classifier 'mine' gave NaN or infinite logits for … images (first: row …), expected finite numbers; check its weights, mean, std and temperature.",
    ),
    Refusal(
        "logits that are NaN for one image alone",
        lambda bench: bench.predict(
            logits_of(bench, "torch.stack([b, torch.where(b == b.max(), float('nan'), b)], 1)")
        ),
        "classifier 'mine' gave NaN or infinite logits for … images (first: row …), expected finite numbers; check its weights, mean, std and temperature.",
    ),
    Refusal(
        "a network that ends in a softmax",
        lambda bench: bench.predict(logits_of(bench, "torch.stack([b, 2 * b], 1).softmax(1)")),
        "classifier 'mine' gave outputs in [0, 1] that sum to 1, as after a softmax, and is read as giving logits; say `output: probabilities`, or return what it has before the softmax.",
    ),
    Refusal(
        "probabilities that are none",
        lambda bench: bench.predict({**logits_of(bench, "torch.stack([b, -b], 1)"), "output": "probabilities"}),
        "classifier 'mine': output is probabilities, but its outputs are not all in [0, 1] with sum 1 (first: […]); leave `output` out where they are logits.",
    ),
    Refusal(
        "answers that depend on the other images",
        lambda bench: bench.predict(logits_of(bench, "torch.stack([b - b.mean(), -b], 1)")),
        "classifier 'mine' answers otherwise about an image if there is another one beside it, and must judge each by itself; call `.eval()` on all that it uses, and give BatchNorm running statistics (track_running_stats=True).",
    ),
    Refusal(
        "answers that depend on chance",
        lambda bench: bench.predict(logits_of(bench, "torch.stack([b, torch.rand_like(b)], 1)")),
        "classifier 'mine' answered twice about the same images, and otherwise the second time; leave out what it draws at random, such as dropout that stays on: call `.eval()`, and give F.dropout its `training=self.training`.",
    ),
    Refusal(
        "other weights than those identified",
        changed_meanwhile,
        "classifier 'mine' has other weights than when it was identified; list the files that it reads under its `watch`, seed what it draws at random, such as by `torch.manual_seed(0)`, and run again.",
    ),
    Refusal(
        "a method that needs gradients and a black box",
        lambda bench: bench.saliency(
            {**bench.entry_point(BRIGHTNESS), "differentiable": False}, {"method": "gradient"}
        ),
        "method 'gradient' needs gradients and classifier 'mine' gives none (it is a black box); use a method that asks for logits only, such as gcd or lime, or load the network by timm, torch_export, torchscript or entry_point.",
    ),
    Refusal(
        "a table that was cut short",
        damaged_table,
        "images.parquet is no complete Parquet file; delete it and run again",
    ),
    Refusal(
        "a table that does not exist",
        lambda bench: bench.predict(bench.entry_point(BRIGHTNESS), images="absent.parquet"),
        "absent.parquet: there is no such file; run the stage that writes the table images",
    ),
    Refusal(
        "results that cannot be written",
        lambda bench: few(bench, images=f"{below_a_file(bench)}/images.parquet"),
        "taken/images.parquet cannot be written (File exists: taken); make its folder one in which files can be made, or run in another folder.",
    ),
    Refusal(
        "a row store that cannot be written",
        lambda bench: bench.predict(bench.entry_point(BRIGHTNESS), store=f"{below_a_file(bench)}/rows"),
        "taken/rows/predict/logits-…/identity.json cannot be written (Not a directory: taken/rows/predict/logits-…); make its folder one in which files can be made, or run in another folder.",
    ),
    Refusal(
        "scores of a metric that does not exist",
        lambda bench: bench.metrics("corect"),
        "the scores hold the metric 'corect', which there is not; did you mean 'correct'?",
    ),
    Refusal(
        "a command that does not exist",
        lambda bench: ["smaple"],
        "there is no command or stage smaple; did you mean sample?",
    ),
]

BROKEN = [
    BrokenFile(
        "a PNG that was cut short",
        "dogs/cut.png",
        lambda: encoded(noise())[:700],
        "the pixels cannot be decoded: image file is truncated; get the file again",
    ),
    BrokenFile("a PNG of zero bytes", "dogs/empty.png", lambda: b"", "the file is empty (0 bytes); get it again"),
    BrokenFile(
        "a text with the name of an image",
        "dogs/text.png",
        lambda: b"not an image",
        "the file is no JPEG, PNG, WEBP, BMP, TIFF or GIF image",
    ),
    BrokenFile(
        "an animated GIF",
        "dogs/moving.gif",
        lambda: animated("GIF"),
        "the file holds 2 frames; save the one that is meant as a still image",
    ),
    BrokenFile(
        "an animated PNG",
        "dogs/moving.png",
        lambda: animated("PNG"),
        "the file holds 2 frames; save the one that is meant as a still image",
    ),
    BrokenFile(
        "an image 50,000 pixels wide",
        "dogs/wide.png",
        lambda: encoded(np.zeros((1, 50_000, 3), np.uint8)),
        "the image has 50000 x 1 pixels, a side above 20,000; save a smaller copy",
    ),
    BrokenFile(
        "floating-point pixels",
        "dogs/float.tiff",
        lambda: encoded(np.ones((32, 32), np.float32), "TIFF"),
        "the pixels are floating-point numbers; save the image with 8 or 16 bits",
    ),
    BrokenFile(
        "32-bit grey above 65,535",
        "dogs/deep.tiff",
        lambda: encoded(np.full((32, 32), 70_000, np.int32), "TIFF"),
        "the grey values go beyond 16 bits; save the image with 8 or 16 bits",
    ),
]

TRANSPARENT = np.full((32, 32, 4), (9, 99, 199, 0), np.uint8)
ACCEPTED = [
    Accepted(
        "16-bit grey",
        "cats/deep.png",
        lambda: encoded(np.full((32, 32), 32_768, np.uint16)),
        "scaled from 0..65535 to 0..255",
        (128, 128, 128),
    ),
    Accepted(
        "16-bit colour",
        "cats/deep-colour.png",
        lambda: deep_colour_png((32_768, 257, 65_535)),
        "the upper 8 bits of each channel",
        (128, 1, 255),
    ),
    Accepted(
        "a CMYK JPEG",
        "cats/cmyk.jpg",
        lambda: encoded(Image.new("CMYK", (32, 32), (255, 0, 0, 0)), "JPEG", quality=95),
        "converted to RGB without its colour profile",
        (0, 255, 255),
        tolerance=3,
    ),
    Accepted(
        "transparent pixels",
        "cats/transparent.png",
        lambda: encoded(TRANSPARENT),
        "the colour `dataset.background` shows through",
        (255, 255, 255),
    ),
    Accepted("grey", "cats/grey.png", lambda: encoded(TRANSPARENT[:, :, 1]), "three equal channels", (99, 99, 99)),
]


def document() -> str:
    """The page of the documentation, made from the cases."""
    return "\n".join(
        [
            "# What is refused, and with which words",
            "",
            "A mistake ends a command with one sentence: what is wrong, where, and what to do. There is no traceback, the exit",
            "status is not 0, and nothing appears where the result would have been. `…` stands for what differs between machines.",
            "",
            "## In a study file",
            "",
            "Found while the workflow is read, before anything runs; exit status 1.",
            "",
            *table("mistake", "sentence", [(case.what, case.sentence) for case in STUDIES]),
            "",
            "## In files, networks and places",
            "",
            "Found by the command that meets them (`sample`, `identify`, `predict`, ...); exit status 2.",
            "",
            *table("input", "sentence", [(case.what, case.sentence) for case in REFUSALS]),
            "",
            "## Single images that cannot be used",
            "",
            "They stay in the table of images as rows with `status: failed` and this reason, they are named in the report, and",
            "the next image takes their place.",
            "",
            *table("file", "reason", [(case.what, case.reason) for case in BROKEN]),
            "",
            "## Inputs that are accepted",
            "",
            *table("input", "what becomes of it", [(case.what, case.choice) for case in ACCEPTED], quoted=False),
            "| a classifier that changes its input in place | it is given a tensor of its own, so nothing else changes |",
            "| an image that a metric has nothing to say of | a row with `status: unscored` and its reason; the metric counts these in a row of its own and is never NaN |",
            "",
        ]
    )


def table(left: str, right: str, rows: list[tuple[str, str]], quoted: bool = True) -> list[str]:
    cells = [(what, as_code(said) if quoted else said) for what, said in rows]
    return [f"| {left} | {right} |", "|---|---|", *(f"| {what} | {said} |" for what, said in cells)]


def as_code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
