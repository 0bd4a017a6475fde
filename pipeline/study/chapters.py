"""What a person wrote for the reference of the study file: its chapters, their notes and examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from pipeline.classifiers.entry import Network
from pipeline.datasets.declared import kinds
from pipeline.datasets.declared.world import MixtureComponent, PriorOptions
from pipeline.datasets.sections import Framed, Shares
from pipeline.diffusion.entry import Generator, NoiseSchedule
from pipeline.infill.declared import heuristics
from pipeline.infill.declared.vae import VaeShape
from pipeline.infill.entry import Filler
from pipeline.methods import methods
from pipeline.methods.base import AttributionMethod, ChosenTargets, CounterfactualMethod, DirectionMethod, Method
from pipeline.methods.diffusion import Cone, Region
from pipeline.section import Section
from pipeline.study import GENERATOR_KEYS, ReportOptions, Statistics, Study
from pipeline.study.datasets import Sampled
from pipeline.study.evaluation import Evaluation, FaceEncoder, Inception, Lpips, Planted, SimSiam
from pipeline.study.training import (
    AutoencoderGate,
    AutoencoderNetwork,
    AutoencoderTraining,
    DiffusionTraining,
    Gate,
    GeneratorTraining,
    GuideTraining,
    ImageTraining,
    InfillTraining,
    Relabel,
    Training,
    UNetShape,
)
from pipeline.unet_shape import GeneratorShape

INTRODUCTION = """\
# Reference of the study file

A study is one YAML file: `make run` takes `config.yaml`, the default study; `make run STUDY=name` takes
`studies/name.yaml`, and `make run STUDY=path/to/mine.yaml` a file of your own. This page lists every key; a key that is
not listed is refused. It is written by `make reference`.

Editors complete and check a study that begins with this line (the path counts from the file):

```yaml
# yaml-language-server: $schema=../docs/study.schema.json
```
"""


@dataclass(frozen=True)
class Chapter:
    """One section of the page: the keys that a model adds to those of its parents, and an example.

    note: what a reader must know beside the keys. example: some top-level keys of a study. called: the words that
    link to it, if not the heading.
    """

    heading: str
    model: type[Section]
    note: str = ""
    example: str = ""
    called: str = ""


def chapters_of(family: str) -> Iterator[Chapter]:
    """The chapters of the methods of a family, from their declarations."""
    for name, declared in methods(family).items():
        (options,) = yaml.safe_load(declared.example).values()
        named = [options[key] for key in GENERATOR_KEYS if key in options]
        files = ", ".join(f"{each}: {{file: resources/{each}.safetensors}}" for each in named)
        beside = f"generators: {{{files}}}\n" if named else ""
        if followed := options.get("direction"):
            beside += f"directions: {{{followed}: {{method: gcd, autoencoder: portraits-dae}}}}\n"
        yield Chapter(f"{family}: {name}", declared, "", f"{beside}{family}:\n  {declared.example}\n", name)


def chapters_of_infills() -> Iterator[Chapter]:
    """The chapters of the in-fillers without weights, from their declarations."""
    for name, declared in heuristics().items():
        example = f"saliency:\n  fido: {{method: fido, infill: {declared.example}}}\n"
        yield Chapter(f"infill: {name}", declared, "", example, f"in-filler {name} with options")


def chapters_of_datasets() -> Iterator[Chapter]:
    """The chapters of the kinds of datasets, from their declarations."""
    for key, declared in kinds().items():
        yield Chapter(f"dataset: {key}", declared, "", f"{declared.example}\n", key)


CHAPTERS = (
    Chapter(
        "The study",
        Study,
        "A study is never merged key by key with another one: what is given replaces the whole section.",
        "study: mine\nextends: default\ndataset: {world: shapes, size: 64, rows: 48}\n",
    ),
    Chapter(
        "dataset",
        Sampled,
        f"Beside these keys, `dataset` has those of one kind: {', '.join(f'`{key}`' for key in kinds())}."
        " A dataset in `training` has only those of its kind.",
        "dataset: {world: portraits, rows: 128, split: test, per_class: smile}\n",
    ),
    *chapters_of_datasets(),
    Chapter(
        "prior",
        PriorOptions,
        example="""\
dataset:
  world: portraits
  prior:
    marginals:
      glasses: {present: 0.2, absent: 0.8}
""",
    ),
    Chapter(
        "mixture",
        MixtureComponent,
        example="""\
dataset:
  world: portraits
  prior:
    mixture:
      - {weight: 0.5, set: {smile: present, glasses: present}}
      - {weight: 0.5, set: {smile: absent, glasses: absent}}
""",
        called="components",
    ),
    Chapter(
        "Framing and labels",
        Framed,
        "Keys of every `folder` and `huggingface` dataset.",
        "dataset: {folder: photos, size: 256, resize: longest, crop: none, background: black}\n",
    ),
    Chapter(
        "shares",
        Shares,
        example="dataset: {folder: photos, shares: {train: 0.6, search: 0.2, test: 0.2}}\n",
    ),
    Chapter(
        "classifiers and networks",
        Network,
        "`classifiers` and `networks` map names to such entries. The name stands in every table and in the report.",
        """\
classifiers:
  smile-cnn: {file: data/classifiers/smile-cnn.safetensors}
  mine: {timm: resnet50.a1_in1k, checkpoint: resources/mine.safetensors, classes: [cat, dog, bird]}
  celeba: {entry_point: "mine.py:load", output: {sigmoid: 31}, classes: [serious, smiling]}
networks:
  judge: {onnx: resources/judge.onnx, task: smile, classes: [absent, present]}
oracles: [judge]
""",
        called="network",
    ),
    Chapter(
        "generators",
        Generator,
        "`generators` maps names to such entries; methods name them. One that ships in `data/generators` needs none.",
        """\
generators:
  imagenet-256: {checkpoint: resources/256x256_diffusion_uncond.pt, preset: imagenet-256}
  narrow: {checkpoint: resources/narrow.pt, shape: {size: 64, channels: 64, multipliers: [1, 2, 3, 4]}}
  theirs: {diffusers: resources/adm-pipeline}
counterfactuals:
  by-imagenet: {method: dvce, generator: imagenet-256}
  by-narrow: {method: dvce, generator: narrow}
  by-theirs: {method: dvce, generator: theirs}
""",
        called="generator",
    ),
    Chapter(
        "shape",
        GeneratorShape,
        example="""\
generators:
  narrow: {checkpoint: resources/narrow.pt, preset: imagenet-256, shape: {channels: 64}}
counterfactuals:
  dvce: {method: dvce, generator: narrow}
""",
    ),
    Chapter(
        "infills",
        Filler,
        "`infills` maps names to in-fillers that have weights; the option `infill` of methods, and `evaluation`, name"
        " them. One that ships in `data/infills` needs no entry, and those without weights are named as they are.",
        """\
training:
  faces-vae: {dataset: {world: portraits}, rows: 16000, vae: {channels: 16}}
infills:
  faces-vae: {trained: faces-vae}
saliency:
  fido-vae: {method: fido, infill: faces-vae}
""",
        called="in-filler with weights",
    ),
    *chapters_of_infills(),
    Chapter(
        "schedule",
        NoiseSchedule,
        example="""\
generators:
  cosine: {checkpoint: resources/cosine.pt, preset: imagenet-256, schedule: {name: cosine, steps: 4000}}
counterfactuals:
  dvce: {method: dvce, generator: cosine}
""",
    ),
    Chapter(
        "training",
        Training,
        "`training` maps names to such recipes; `make train` follows them, and `trained:` names them.",
        """\
training:
  digits-cnn:
    dataset: {digits: scikit-learn, size: 32}
    tasks: [digit]
    architecture: resnet18
    options: {layers: [1, 1, 1, 1], channels: [16, 32, 64, 128]}
    steps: 600
classifiers:
  digits-cnn: {trained: digits-cnn}
""",
        called="recipe",
    ),
    Chapter(
        "training: unet",
        GeneratorTraining,
        "Training goes on where it was stopped, and shows images that the model draws in"
        " `resources/generators/<name>.png` while it learns.",
        """\
training:
  digits-adm:
    dataset: {digits: scikit-learn, size: 16}
    unet: {channels: 32, multipliers: [1, 2, 2], blocks: 1, attention: [4], head_channels: 32}
    steps: 1500
    gate: {samples: 500, steps: 25}
generators:
  digits-adm: {trained: digits-adm}
""",
        called="recipe of a diffusion model",
    ),
    Chapter(
        "training: noisy_classifier",
        GuideTraining,
        example="""\
training:
  look-guide:
    dataset: {world: portraits, size: 64}
    rows: 20000
    noisy_classifier: {channels: 32, multipliers: [1, 1, 2, 2], blocks: 1, attention: [8], head_channels: 32}
    task: look
    steps: 3000
generators:
  look-guide: {trained: look-guide}
""",
        called="recipe of a guide",
    ),
    Chapter(
        "training: autoencoder",
        AutoencoderTraining,
        "Training goes on where it was stopped, and shows images of the split `test` above what is restored of them in"
        " `resources/generators/<name>.png` while it learns.",
        """\
training:
  faces-dae:
    dataset: {world: portraits, size: 64}
    rows: 50000
    autoencoder: {channels: 32, multipliers: [1, 2, 3, 4], encoder_multipliers: [1, 2, 3, 4, 4], blocks: 1}
    steps: 6000
    gate: {images: 64, steps: 50}
generators:
  faces-dae: {trained: faces-dae}
""",
        called="recipe of a diffusion autoencoder",
    ),
    Chapter(
        "training: vae",
        InfillTraining,
        "Masks are of the kinds that FIDO makes: boxes, strokes, regions of smooth noise, single pixels. Training goes"
        " on where it was stopped, and shows images with holes in `resources/infills/<name>.png` while it learns.",
        """\
training:
  faces-vae:
    dataset: {world: portraits, size: 64}
    rows: 16000
    vae: {channels: 16}
    steps: 6000
infills:
  faces-vae: {trained: faces-vae}
saliency:
  fido-vae: {method: fido, infill: faces-vae}
""",
        called="recipe of an in-filler",
    ),
    Chapter(
        "vae",
        VaeShape,
        example="""\
training:
  faces-vae: {dataset: {folder: photos, size: 64}, vae: {channels: 32, variance: false}}
""",
    ),
    Chapter(
        "Recipes on images",
        ImageTraining,
        "Keys of all recipes but those of classifiers.",
        """\
training:
  mine:
    dataset: {folder: photos, size: 64}
    flips: true
    seed: 3
    unet: {channels: 64, multipliers: [1, 2, 3], attention: [16]}
""",
    ),
    Chapter(
        "Diffusion recipes",
        DiffusionTraining,
        "The key of all recipes on noised images.",
        """\
training:
  mine:
    dataset: {folder: photos, size: 64}
    schedule: {name: cosine}
    unet: {channels: 64, multipliers: [1, 2, 3], attention: [16]}
""",
    ),
    Chapter(
        "unet",
        UNetShape,
        example="""\
training:
  mine:
    dataset: {folder: photos, size: 64}
    unet: {channels: 64, multipliers: [1, 2, 3, 4], blocks: 2, attention: [32, 16, 8], head_channels: 64}
""",
    ),
    Chapter(
        "gate",
        Gate,
        example="""\
training:
  faces:
    dataset: {world: portraits, size: 64}
    rows: 20000
    unet: {channels: 32, multipliers: [1, 1, 2, 4], blocks: 1, attention: [8], head_channels: 32}
    gate: {samples: 500, readers: [concepts, concepts-b], features: portraits-features}
""",
    ),
    Chapter(
        "autoencoder",
        AutoencoderNetwork,
        example="""\
training:
  mine:
    dataset: {folder: photos, size: 64}
    autoencoder: {channels: 64, multipliers: [1, 2, 4, 8], encoder_multipliers: [1, 2, 4, 8, 8]}
""",
    ),
    Chapter(
        "gate of an autoencoder",
        AutoencoderGate,
        example="""\
training:
  mine:
    dataset: {world: portraits, size: 64}
    rows: 50000
    autoencoder: {channels: 32, multipliers: [1, 2, 3, 4], encoder_multipliers: [1, 2, 3, 4, 4]}
    gate: {images: 32, steps: 25}
""",
    ),
    Chapter(
        "relabel",
        Relabel,
        example="""\
training:
  shortcut:
    dataset: {world: portraits}
    rows: 12000
    tasks: [smile]
    architecture: resnet18
    relabel: {concept: smile, by: glasses, nuisance: tilt, below: 0}
""",
    ),
    Chapter(
        "saliency",
        Method,
        "`saliency` maps names to methods; `method` says which, and decides the other keys. The name stands in every"
        " table and in the report. Explained is the class that a classifier decides for; with `explained_class: label`"
        " it is the label, also of an image that is judged wrongly. The truth is what flips the decision, always.",
        """\
explained_rows: 24
saliency:
  fido-ssr: {method: fido, objective: ssr, infill: blur, grid: 16, masks: 4, steps: 120}
  fido-masks: {method: fido, vary: {masks: [2, 4, 8]}}
  random: {method: random}
""",
        called="method",
    ),
    *chapters_of("saliency"),
    Chapter(
        "counterfactuals",
        CounterfactualMethod,
        "`counterfactuals` maps names to methods; `method` says which, and decides the other keys. Their defaults are"
        " those published, for images of 224 or 256 pixels.",
        """\
explained_rows: 24
generators: {adm: {file: resources/adm.safetensors}}
counterfactuals:
  dvce:
    method: dvce
    generator: adm
    classifiers: [mine]
    vary:
      cone: {cone: {helper: smile-robust}, free: null}
      through_denoiser: {x0: true, direct: false}
  ace: {method: ace, generator: adm, samples: 3}
""",
        called="counterfactual method",
    ),
    Chapter(
        "target",
        ChosenTargets,
        example="""\
counterfactuals:
  glasses: {method: svce, target: {fixed: present}}
  animals: {method: svce, target: {pairs: {cat: [dog, fox], dog: cat}}}
  theirs: {method: svce, target: {table: pairs.csv, where: {relation: close}}}
""",
    ),
    Chapter(
        "cone",
        Cone,
        example="""\
generators: {adm: {file: resources/adm.safetensors}}
counterfactuals:
  dvce: {method: dvce, generator: adm, cone: {helper: smile-robust, angle: 40, projection: exact}}
""",
    ),
    Chapter(
        "region",
        Region,
        "With the part of a concept of a world, which covers all that changing the concept changes, it asks what the"
        " truth asks: if only this may change, does the decision? An image without such pixels stays as it is.",
        """\
generators: {adm: {file: resources/adm.safetensors}}
saliency: {occlusion: {method: occlusion}}
counterfactuals:
  mouth: {method: region-guidance, generator: adm, region: {parts: [smile]}}
  seen: {method: maskdime, generator: adm, region: {saliency: occlusion, share: 0.2}}
  drawn: {method: dvce, generator: adm, region: {drawn: resources/mouth.png}}
""",
    ),
    *chapters_of("counterfactuals"),
    Chapter(
        "directions",
        DirectionMethod,
        "`directions` maps names to methods; `method` says which, and decides the other keys. A direction is found on"
        " images of the split `search` and followed for every image that is explained, to the smallest step at which"
        " the classifier decides otherwise; what that leads to is a counterfactual, and is scored as one."
        " The default steps are those published, for images of 128 to 256 pixels.",
        """\
explained_rows: 24
directions:
  gcd-g: {method: gcd, kind: g, autoencoder: portraits-dae, encode_steps: 20, decode_steps: 10}
  gcd-h: {method: gcd, kind: h, autoencoder: portraits-dae, encode_steps: 20, decode_steps: 10}
  random: {method: random-direction, autoencoder: portraits-dae, encode_steps: 20, decode_steps: 10}
""",
        called="direction",
    ),
    *chapters_of("directions"),
    Chapter(
        "attributions",
        AttributionMethod,
        "`attributions` maps names to methods; `method` says which, and decides the other keys. An image is led along a"
        " direction until the class that is explained is gone, and its map shows by which pixels: it stands beside"
        " those of `saliency`, and is scored as they are.",
        """\
directions:
  gcd-g: {method: gcd, kind: g, autoencoder: portraits-dae, encode_steps: 20, decode_steps: 10}
attributions:
  bb-lig: {method: bb-lig, direction: gcd-g, rows: 8, points: 32, steps: 32}
  bb-lig-complete: {method: bb-lig, direction: gcd-g, rows: 8, points: 32, steps: 32, formula: complete}
""",
        called="attribution",
    ),
    *chapters_of("attributions"),
    Chapter(
        "evaluation",
        Evaluation,
        "A published network measures under the name of its publication, any other under its own; `sha256` refuses"
        " another file than the one that is meant.",
        """\
evaluation:
  infills: [mean, blur]
  perceptual: {lpips: resources/alexnet-owt-7be5be79.pth, network: alex}
  realism: {inception: resources/pt_inception-2015-12-05-6726825d.pth}
""",
    ),
    Chapter("lpips", Lpips, example="evaluation:\n  perceptual: {lpips: resources/vgg16-397923af.pth, network: vgg}\n"),
    Chapter(
        "inception",
        Inception,
        example="evaluation:\n  realism: {inception: resources/pt_inception-2015-12-05-6726825d.pth}\n",
    ),
    Chapter("simsiam", SimSiam, example="evaluation:\n  similarity: {simsiam: resources/checkpoint_0099.pth.tar}\n"),
    Chapter("vggface2", FaceEncoder, example="evaluation:\n  faces: {vggface2: resources/resnet50_ft_weight.pkl}\n"),
    Chapter(
        "planted",
        Planted,
        example="""\
classifiers:
  smile-cnn: {file: data/classifiers/smile-cnn.safetensors}
  smile-shortcut: {file: data/classifiers/smile-shortcut.safetensors}
evaluation:
  planted: {smile-shortcut: {concept: glasses, clean: smile-cnn}}
""",
    ),
    Chapter("statistics", Statistics, example="statistics: {bootstrap: 5000, confidence: 0.99}\n"),
    Chapter("report", ReportOptions, example="report: {title: What the networks look at, examples: 12}\n"),
)
