"""What a person wrote for the reference of the study file: its chapters, their notes and examples."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.study import ReportOptions, Statistics, Study
from pipeline.study.datasets import (
    DigitsDataset,
    FolderDataset,
    Framed,
    HuggingFaceDataset,
    MixtureComponent,
    PriorOptions,
    Sampled,
    Shares,
    WorldDataset,
)
from pipeline.study.networks import Network, Relabel, Training
from pipeline.study.saliency import (
    Bbmp,
    BbmpInFido,
    Evaluation,
    Fido,
    GradCam,
    Gradient,
    IntegratedGradients,
    Lime,
    Method,
    Occlusion,
    RandomMap,
)
from pipeline.study.section import Section

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
        "Beside these keys, `dataset` has those of one kind: `world`, `folder`, `huggingface` or `digits`."
        " A dataset in `training` has only those of its kind.",
        "dataset: {world: portraits, rows: 128, split: test, per_class: smile}\n",
    ),
    Chapter(
        "dataset: world",
        WorldDataset,
        example="dataset: {world: portraits, size: 64, rows: 128}\n",
        called="world",
    ),
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
        "dataset: folder",
        FolderDataset,
        example="""\
dataset:
  folder: photos
  labels: photos/labels.csv
  label_columns: [species]
  size: 224
  rows: 100
""",
        called="folder",
    ),
    Chapter(
        "dataset: huggingface",
        HuggingFaceDataset,
        example="""\
dataset:
  huggingface: uoft-cs/cifar10
  image_column: img
  splits: {train: train, test: test}
  size: 32
  rows: 100
""",
        called="huggingface",
    ),
    Chapter(
        "dataset: digits",
        DigitsDataset,
        example="dataset: {digits: scikit-learn, size: 16, rows: 100}\n",
        called="digits",
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
        " table and in the report.",
        """\
explained_rows: 24
saliency:
  fido-ssr: {method: fido, objective: ssr, infill: blur, grid: 16, masks: 4, steps: 120}
  fido-masks: {method: fido, vary: {masks: [2, 4, 8]}}
  random: {method: random}
""",
        called="method",
    ),
    Chapter(
        "saliency: fido",
        Fido,
        example="saliency:\n  fido-sdr: {method: fido, objective: sdr, infill: mean}\n",
        called="fido",
    ),
    Chapter(
        "saliency: bbmp",
        Bbmp,
        example="saliency:\n  bbmp: {method: bbmp}\n",
        called="bbmp",
    ),
    Chapter(
        "saliency: bbmp-fido",
        BbmpInFido,
        example="saliency:\n  bbmp-fido: {method: bbmp-fido, objective: sdr}\n",
        called="bbmp-fido",
    ),
    Chapter(
        "saliency: gradient",
        Gradient,
        example="saliency:\n  gradient: {method: gradient}\n",
        called="gradient",
    ),
    Chapter(
        "saliency: integrated-gradients",
        IntegratedGradients,
        example="saliency:\n  integrated: {method: integrated-gradients, infill: blur, steps: 64}\n",
        called="integrated-gradients",
    ),
    Chapter(
        "saliency: grad-cam",
        GradCam,
        example="saliency:\n  grad-cam: {method: grad-cam}\n",
        called="grad-cam",
    ),
    Chapter(
        "saliency: lime",
        Lime,
        example="saliency:\n  lime: {method: lime, infill: blur, samples: 512}\n",
        called="lime",
    ),
    Chapter(
        "saliency: occlusion",
        Occlusion,
        example="saliency:\n  occlusion: {method: occlusion, infill: mean, window: 0.2}\n",
        called="occlusion",
    ),
    Chapter(
        "saliency: random",
        RandomMap,
        example="saliency:\n  random: {method: random, smooth: 0.1}\n",
        called="random",
    ),
    Chapter("evaluation", Evaluation, example="evaluation: {infills: [mean, blur]}\n"),
    Chapter("statistics", Statistics, example="statistics: {bootstrap: 5000, confidence: 0.99}\n"),
    Chapter("report", ReportOptions, example="report: {title: What the networks look at, examples: 12}\n"),
)
