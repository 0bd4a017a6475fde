"""A study file: what is accepted, and the sentence for each mistake."""

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import UserError
from pipeline.section import Section
from pipeline.study import load_study
from pipeline.study.mistakes import describe
from pipeline.study.schema import SectionSchema

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = """\
study: default
seed: 5
dataset: {world: portraits, size: 48, rows: 7}
classifiers: {theirs: {timm: resnet18}}
statistics: {bootstrap: 500, confidence: 0.9}
report: {title: The default, examples: 3}
"""
COMPLETE = {
    "study": "study: mine",
    "dataset": "dataset: {world: portraits}",
    "classifiers": "classifiers: {mine: {timm: resnet18}}",
}
RECIPE = "dataset: {world: shapes}, tasks: [colour], architecture: resnet18"
AUTOENCODER = "autoencoder: {channels: 32, multipliers: [1, 1, 1], encoder_multipliers: [1]}"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project with a default study and one shipped network."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(DEFAULT)
    for folder in ("studies", "data/classifiers"):
        Path(folder).mkdir(parents=True)
    Path("data/classifiers/smile-robust.safetensors").touch()


def load(text):
    """Load a study that is complete but for what the text replaces."""
    replaced = text.split(":")[0]
    lines = [line for key, line in COMPLETE.items() if key != replaced]
    Path("mine.yaml").write_text("\n".join([*lines, text]))
    return load_study("mine.yaml")


def complaint(text):
    with pytest.raises(UserError) as caught:
        load(text)
    return str(caught.value)


@pytest.mark.parametrize(
    "path", [ROOT / "config.yaml", *sorted(ROOT.glob("studies/*.yaml"))], ids=lambda path: path.stem
)
def test_every_study_that_ships_loads(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    name = "default" if path.name == "config.yaml" else path.stem
    assert load_study(name).study == name


def test_a_study_that_extends_default_takes_the_sections_it_does_not_give():
    Path("studies/more.yaml").write_text("study: more\nextends: default\nreport: {examples: 9}\n")
    study = load_study("more")
    assert (study.study, study.seed, study.dataset.size, list(study.classifiers)) == ("more", 5, 48, ["theirs"])


def test_a_section_that_is_given_replaces_that_of_default_whole():
    Path("studies/more.yaml").write_text(
        "study: more\nextends: default\nreport: {examples: 9}\ndataset: {digits: scikit-learn}\n"
        "classifiers: {mine: {timm: resnet18}}\n"
    )
    study = load_study("more")
    assert study.report.examples == 9 and study.report.title is None
    assert not hasattr(study.dataset, "world") and study.dataset.rows == 24
    assert list(study.classifiers) == ["mine"]


def test_a_study_that_does_not_extend_default_takes_nothing_from_it():
    study = load("report: {examples: 9}")
    assert (study.seed, study.statistics.bootstrap) == (2026, 2000)


def test_a_judge_is_one_of_the_study_or_else_one_that_ships():
    study = load("oracles: [smile-robust]\nreaders: [concepts]\nnetworks: {concepts: {onnx: concepts.onnx}}")
    assert study.judges["smile-robust"].file == "data/classifiers/smile-robust.safetensors"
    assert study.judges["concepts"].onnx == "concepts.onnx"


def test_a_list_of_values_makes_an_entry_of_each_named_after_it():
    study = load("saliency: {fido: {method: fido, vary: {masks: [2, 4], objective: [ssr, sdr]}}}")
    made = {name: (method.masks, method.objective) for name, method in study.saliency.items()}
    assert made == {
        "fido-masks-2-objective-ssr": (2, "ssr"),
        "fido-masks-2-objective-sdr": (2, "sdr"),
        "fido-masks-4-objective-ssr": (4, "ssr"),
        "fido-masks-4-objective-sdr": (4, "sdr"),
    }


def test_words_for_values_stand_in_the_names_of_the_entries():
    study = load("saliency: {cam: {method: grad-cam, vary: {layer: {last: null, early: layer1}, positive: [true]}}}")
    made = {name: method.layer for name, method in study.saliency.items()}
    assert made == {"cam-last-positive-true": None, "cam-early-positive-true": "layer1"}


SENTENCES = [
    # Unknown keys, at every level.
    ("classfiers: {}", "unknown key 'classfiers'; did you mean 'classifiers'?"),
    (
        "saliency: {cam: {method: grad-cam, classifiers: [mien]}}",
        "saliency.cam.classifiers: there is no 'mien'; did you mean 'mine'?",
    ),
    (
        "explained_class: lable",
        "explained_class: must be predicted or label, not 'lable'; did you mean 'label'?",
    ),
    (
        "dataset: {folder: a, labels: none}\nexplained_class: label",
        "explained_class: the images have no labels (dataset.labels is none); set it to predicted.",
    ),
    ("report: {titel: x}", "report: unknown key 'titel'; did you mean 'title'?"),
    ("dataset: {world: portraits, sise: 64}", "dataset: unknown key 'sise'; did you mean 'size'?"),
    ("dataset: {digits: scikit-learn, prior: {}}", "dataset: unknown key 'prior'; valid keys are rows, "),
    ("dataset: {world: shapes, prior: {mixtur: []}}", "dataset.prior: unknown key 'mixtur'; did you mean 'mixture'?"),
    (
        "dataset: {world: shapes, prior: {mixture: [{wieght: 1}]}}",
        "dataset.prior.mixture.0: unknown key 'wieght'; did you mean 'weight'?",
    ),
    (
        "classifiers: {mine: {timm: a, chanels: 1}}",
        "classifiers.mine: unknown key 'chanels'; did you mean 'channels'?",
    ),
    (
        "training: {net: {dataset: {folder: a, croop: none}, tasks: [a], architecture: b}}",
        "training.net.dataset: unknown key 'croop'; did you mean 'crop'?",
    ),
    # Generators.
    ("generators: {a: {fiel: b}}", "generators.a: unknown key 'fiel'; did you mean 'file'?"),
    ("generators: {a: {preset: celeba-128}}", "generators.a: a generator has exactly one of the keys file, trained,"),
    (
        "generators: {a: {checkpoint: b, preset: imagenet-265}}",
        "generators.a.preset: must be imagenet-256, imagenet-256-conditional, ",
    ),
    ("generators: {a: {checkpoint: b}}", "generators.a: weights alone do not say what they are of; add `preset: "),
    (
        "generators: {a: {checkpoint: b, shape: {size: 64, channels: 40, multipliers: [1]}}}",
        "generators.a: channels 40 times multipliers [1.0] gives 40; every level needs a multiple of 32",
    ),
    ("generators: {a: {file: b, predicts: noise}}", "generators.a: file says predicts itself; leave predicts out."),
    (
        "training: {net: {dataset: {world: shapes}, tasks: [a]}}",
        "training.net: a recipe has exactly one of the keys architecture, unet, noisy_classifier, autoencoder, vae;"
        " write for example architecture: resnet18.",
    ),
    (
        "training: {net: {dataset: {world: shapes}, noisy_clasifier: {}}}",
        "noisy_classifier, autoencoder, vae; did you mean 'noisy_classifier' for 'noisy_clasifier'?",
    ),
    ("training: {net: {dataset: {world: shapes}, unet: {channels: 32}}}", "net.unet: the key 'multipliers' is missing"),
    (
        "training: {net: {dataset: {world: shapes}, unet: {channels: 32, multipliers: [1.5]}}}",
        "training.net: channels 32 times multipliers [1.5] gives 48; every level needs a multiple of 32",
    ),
    (
        "training: {net: {dataset: {world: shapes}, autoencoder: {channels: 32, multipliers: [1, 2]}}}",
        "training.net.autoencoder: the key 'encoder_multipliers' is missing; write for example encoder_multi",
    ),
    (
        "training: {net: {dataset: {world: shapes, size: 34}, " + AUTOENCODER + "}}",
        "training.net: size is 34 with 3 levels; use a size that can be halved 2 times, such as 32.",
    ),
    (
        "training: {net: {dataset: {world: shapes}, " + AUTOENCODER + ", gate: {steps: 60}}}",
        "training.net: gate.steps: 60 steps do not divide a schedule of 1000 by a whole stride; use 59.",
    ),
    (
        "training: {net: {dataset: {folder: a, size: null}, unet: {channels: 32, multipliers: [1]}}}",
        "training.net: the images of `dataset` have sizes of their own; set its size, such as 64.",
    ),
    (
        "training: {net: {dataset: {world: shapes}, unet: {channels: 32, multipliers: [1]}, gate: {readers: [mien]}}}",
        "training.net.gate.readers: there is no 'mien'; did you mean 'mine'?",
    ),
    (
        "classifiers: {m: {trained: net}}\n"
        "training: {net: {dataset: {world: shapes}, unet: {channels: 32, multipliers: [1]}}}",
        "classifiers.m.trained: there is no 'net'; none is defined yet.",
    ),
    ("generators: {a: {trained: net}}\ntraining: {net: {" + RECIPE + "}}", "generators.a.trained: there is no 'net'"),
    ("generators: {a: {trained: b}}", "generators.a.trained: there is no 'b'; none is defined yet."),
    (
        "generators: {spare: {file: b}}",
        "generators.spare: it is never used; name it as the generator or guide of a method, or remove it.",
    ),
    (
        "counterfactuals: {dvce: {method: dvce, generator: facs}}\ngenerators: {faces: {file: b}}",
        "counterfactuals.dvce.generator: there is no 'facs'; did you mean 'faces'?",
    ),
    ("generators: {mine: {file: b}}", "generators.mine: classifiers has an entry of that name too; rename one."),
    # Missing keys.
    ("study:", "study: must be a name of letters, digits, '.', '_' and '-' (at most 60 characters), but nothing is"),
    ("training: {net: {dataset: {world: shapes}, architecture: b}}", "training.net: the key 'tasks' is missing; write"),
    ("dataset: {world: shapes, prior: {mixture: [{weight: 1}]}}", "dataset.prior.mixture.0: the key 'set' is missing;"),
    # Wrong types.
    ("seed: soon", "seed: must be a whole number of at least 0, not 'soon'."),
    ("shard_rows: 2.5", "shard_rows: must be a whole number of at least 1, not 2.5."),
    ("report: {title: 5}", "report.title: must be text, not 5; put it in quotes."),
    ("report: 5", "report: must be a section with keys such as title, examples or order, not 5."),
    ("oracles: smile-robust", "oracles: must be a list of names, not 'smile-robust'."),
    ("classifiers: [mine]", "classifiers: must be a mapping from name to section with keys such as file, trained or"),
    ("classifiers: {}", "(at least 1), not an empty mapping."),
    (
        "classifiers: {mine: }",
        "classifiers.mine: must be a section with keys such as file, trained or timm, but nothing",
    ),
    ("classifiers: {'my own': {timm: a}}", "classifiers: the key 'my own' must be a name of letters, digits, "),
    ("classifiers: {m: {timm: a, differentiable: maybe}}", "m.differentiable: must be true or false, not 'maybe'."),
    ("classifiers: {m: {timm: a, sha256: 1f}}", "m.sha256: must be a digest of 64 hexadecimal digits, not '1f'."),
    # Values of several possible types: told once, and inside the type that was meant.
    ("classifiers: {m: {timm: a, mean: red}}", "classifiers.m.mean: must be a number or a list of numbers, not 'red'."),
    ("classifiers: {m: {timm: a, mean: [0.5, red]}}", "classifiers.m.mean.1: must be a number, not 'red'."),
    ("classifiers: {m: {timm: a, classes: [no]}}", "m.classes.0: must be text, not false; put it in quotes."),
    (
        "classifiers: {m: {timm: a, classes: {task: [a, 1]}}}",
        "m.classes.task.1: must be text, not 1; put it in quotes.",
    ),
    (
        "classifiers: {m: {timm: a, output: {sigmoid: a}}}",
        "m.output.sigmoid: must be a whole number of at least 0 or a list of whole",
    ),
    ("classifiers: {m: {timm: a, output: softmax}}", "m.output: must be probabilities or a mapping from sigmoid to"),
    (
        "classifiers: {m: {onnx: a, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375]}}",
        "m: mean and std are of images in [0, 1], not from 0 to 255; write `mean: [0.485, 0.456, 0.406]` and `std: ",
    ),
    (  # weights of Caffe: the mean is taken away and nothing divided
        "classifiers: {m: {onnx: a, mean: [103.9, 116.8, 123.7]}}",
        "write `mean: [0.4075, 0.458, 0.4851]` and `std: 0.003922`.",
    ),
    ("classifiers: {m: {timm: a, mean: 127.5, std: 0.5}}", "write `mean: 0.5` and `std: 0.5`."),
    # Values that are not among those allowed.
    (
        "dataset: {world: portrait}",
        "dataset.world: must be portraits or shapes, not 'portrait'; did you mean 'portraits'?",
    ),
    ("dataset: {world: shapes, split: all}", "dataset.split: must be train, search or test, not 'all'."),
    (
        "dataset: {folder: a, splits: {tset: b}}",
        "dataset.splits: the key 'tset' must be train, search or test; did you",
    ),
    ("classifiers: {m: {timm: a, channels: 2}}", "classifiers.m.channels: must be 1 or 3, not 2."),
    ("extends: suite", "extends: must be default, not 'suite'."),
    # Out of range.
    ("dataset: {world: portraits, size: 16}", "dataset.size: must be a whole number from 32 to 256, not 16."),
    ("statistics: {confidence: 1}", "statistics.confidence: must be a number above 0.5 and below 1, not 1."),
    ("classifiers: {m: {timm: a, temperature: 0}}", "classifiers.m.temperature: must be a number above 0, not 0."),
    ("training: {net: {" + RECIPE + ", noise: 2}}", "training.net.noise: must be a number from 0 to 1, not 2."),
    # No kind, or two.
    (
        "dataset: {size: 64}",
        "dataset: a dataset has exactly one of the keys digits, folder, huggingface, imagenet, world; write",
    ),
    ("dataset: {wrold: portraits}", "huggingface, imagenet, world; did you mean 'world' for 'wrold'?"),
    ("dataset: {world: portraits, folder: a}", "huggingface, imagenet, world; here there are world and folder."),
    (
        "training: {net: {dataset: {size: 3}, tasks: [a], architecture: b}}",
        "training.net.dataset: a training dataset has",
    ),
    ("classifiers: {m: {task: smile}}", "classifiers.m: a classifier has exactly one of the keys file, trained, timm,"),
    ("classifiers: {m: {task: smile}}", "here there is none."),
    ("classifiers: {m: {timm: a, onnx: b}}", "here there is timm and onnx."),
    # Names of what does not exist.
    ("oracles: [smile-robsut]", "oracles: there is no 'smile-robsut'; did you mean 'smile-robust'?"),
    ("readers: [x]", "readers: there is no 'x'; valid names are mine, smile-robust."),
    ("dataset: {world: shapes, correct: [mien]}", "dataset.correct: there is no 'mien'; did you mean 'mine'?"),
    ("classifiers: {m: {trained: net}}", "classifiers.m.trained: there is no 'net'; none is defined yet."),
    (
        "networks: {judge: {trained: nett}}\ntraining: {net: {" + RECIPE + "}}",
        "networks.judge.trained: there is no 'nett'; did you mean 'net'?",
    ),
    (
        "networks: {spare: {timm: a}}",
        "networks.spare: it is never used; name it in oracles, readers or evaluation, or as a ",
    ),
    ("classifiers: {m: {timm: a, temperature: .inf}}", "classifiers.m.temperature: "),
    (
        "dataset: {world: portraits, prior: {mixture: [{weight: 0.5, set: {hat: present}}]}}",
        "dataset: the weights of the mixture sum to 0.5",
    ),
    (
        "evaluation: {planted: {mine: {concept: hat, clean: mine}}}",
        "evaluation.planted.mine.clean: a classifier is no clean twin of itself; name another one.",
    ),
    ("networks: {mine: {timm: a}}", "networks.mine: classifiers has an entry of that name too; rename one."),
    (
        "directions: {g: {method: gcd, autoencoder: d}}\ngenerators: {d: {file: b}}\nsaliency: {it: {method: random}}\n"
        "attributions: {it: {method: bb-lig, direction: g}}",
        "attributions.it: saliency has an entry of that name too; rename one.",
    ),
    ("attributions: {it: {method: lig, direction: g}}", "attributions.it.method: must be bb-lig, not 'lig'"),
]


JARGON = ("Input should", "valid string", "valid dictionary", "list[", "dict[", "type=", "Field required", "pydantic")


@pytest.mark.parametrize(("text", "sentence"), SENTENCES, ids=range(len(SENTENCES)))
def test_a_mistake_is_one_line_that_names_file_and_key_and_does_not_speak_of_python(text, sentence):
    told = complaint(text)
    assert told.startswith("mine.yaml: ") and sentence in told
    assert "\n" not in told and told.endswith((".", "?", "}", "]"))
    assert not [word for word in JARGON if word.lower() in told.lower()]


def test_every_mistake_has_a_line_of_its_own():
    told = complaint("seed: soon\nreport: {examples: 1000}\nstatistics: {bootstrap: 1}").splitlines()
    assert [line.split(":")[1].strip() for line in told] == ["seed", "statistics.bootstrap", "report.examples"]


def test_all_missing_keys_are_named_with_an_example_that_is_valid():
    Path("mine.yaml").write_text("seed: 1")
    with pytest.raises(UserError) as caught:
        load_study("mine.yaml")
    examples = [line.partition("for example ")[2] for line in str(caught.value).splitlines()]
    Path("mine.yaml").write_text("\n".join(examples))
    assert load_study("mine.yaml").study == "mine"


def test_a_mistake_of_an_unforeseen_kind_keeps_the_text_of_who_found_it():
    class Release(Section):
        day: date

    with pytest.raises(ValidationError) as caught:
        Release.model_validate({"day": "soon"})
    (told,) = describe(caught.value, SectionSchema().generate(Release.__pydantic_core_schema__))
    assert told.startswith("day: input should be a valid date") and told.endswith(", not 'soon'.")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("absent.yaml", "there is no file absent.yaml; give the path of a study"),
        ("mroe", "there is no study 'mroe' in studies/; did you mean 'more'?"),
        ("quite-another", "there is no study 'quite-another' in studies/; there are default, more, or give the path"),
        ("empty.yaml", "empty.yaml holds no study; begin with the key `study` and its name."),
        ("list.yaml", "list.yaml holds no study"),
        ("broken.yaml", "broken.yaml is not readable as YAML: "),
        ("binary.yaml", "binary.yaml is not readable as YAML: "),
    ],
)
def test_a_file_that_is_no_study_is_named_in_one_sentence(name, sentence):
    Path("studies/more.yaml").write_text("study: more\nextends: default\n")
    Path("empty.yaml").touch()
    Path("list.yaml").write_text("- study\n")
    Path("broken.yaml").write_text("study: [mine\nseed: 1\n")
    Path("binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError) as caught:
        load_study(name)
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)
