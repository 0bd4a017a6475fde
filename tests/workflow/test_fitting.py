"""Methods that cannot explain a classifier are refused before anything runs, where that is known."""

from pathlib import Path

import pytest
import torch

from pipeline.diffusion.description import Description
from pipeline.diffusion.file import save_model
from pipeline.diffusion.unet import NoisyClassifier
from pipeline.errors import UserError
from pipeline.methods import methods
from pipeline.study import Study
from pipeline.unet_shape import Shape
from pipeline.workflow.fitting import check_methods
from pipeline.workflow.heads import classes_of
from pipeline.workflow.plan import Plan
from tests.bad_inputs.bench import Bench
from tests.diffusion.conftest import SMALL

MOODS, COLOURS = ["sad", "glad"], ["red", "green", "blue"]
MINE = {"entry_point": "mine.py:load", "task": "mood", "classes": MOODS}
THEIRS = {"entry_point": "mine.py:load", "task": "colour", "classes": COLOURS}
DVCE = {"method": "dvce", "generator": "adm"}
PGD = {"method": "pgd"}
GUIDED = {"method": "classifier-guidance", "generator": "adm", "guide": "guide"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data/targets").mkdir(parents=True)
    Path("data/targets/colour.csv").write_text("source_class,target_class,relation\nred,green,near\nred,blu,far\n")


def plan(method, classifiers=None, dataset=None, **sections):
    named = {each: {"file": f"{each}.safetensors"} for each in ("adm", "guide") if each in method.values()}
    values = {
        "study": "mine",
        "dataset": dataset or {"world": "portraits"},
        "classifiers": classifiers or {"mine": MINE},
        "generators": named,
        "counterfactuals": {"it": method},
        **sections,
    }
    return Plan(Study.model_validate(values))


def complaint(*arguments, **sections):
    with pytest.raises(UserError) as caught:
        check_methods(plan(*arguments, **sections))
    return str(caught.value)


def test_a_planted_concept_is_one_of_the_world():
    planted = {"planted": {"mine": {"concept": "glases", "clean": "theirs"}}}
    said = "evaluation.planted.mine.concept: the images have no part 'glases'; did you mean 'glasses'?"
    assert complaint(DVCE, BOTH, evaluation=planted) == said


def save_guide(classes):
    torch.manual_seed(0)
    shape = Shape(**{"size": 16, **SMALL, "out_channels": len(classes)})
    described = Description("noisy-classifier", shape, {"name": "linear", "steps": 1000}, classes=classes)
    save_model(NoisyClassifier(shape).state_dict(), Path("guide.safetensors"), described)


LIMIT = "or say by `classifiers` which classifiers the method explains."
BOTH = {"mine": MINE, "theirs": THEIRS}
CASES = [
    (
        (PGD, {"mine": {"onnx": "mine.onnx", "classes": MOODS}}),
        "counterfactuals.it: pgd needs gradients and classifier 'mine' gives none (it is a black box); load the network"
        f" in another format, {LIMIT}",
    ),
    (
        ({**DVCE, "cone": {"helper": "theirs"}}, BOTH),
        "counterfactuals.it.cone.helper: 'theirs' judges colour with the classes red, green, blue, and classifier"
        " 'mine' judges mood with sad, glad; name a robust classifier with the same classes in the same order,"
        f" {LIMIT}",
    ),
    (
        ({**PGD, "target": {"fixed": "gald"}},),
        "counterfactuals.it.target: mine: 'gald' is none of the 2 classes; did you mean 'glad'?",
    ),
    (
        ({**PGD, "target": "far"},),
        "counterfactuals.it.target: far classes are known of the tasks colour, and mine judges mood; name a table of"
        f" your own, such as {{table: targets.csv}}, {LIMIT}",
    ),
    (
        ({**PGD, "target": "far"}, {"theirs": THEIRS}),
        "counterfactuals.it.target: theirs: 'blu' is none of the 3 classes; did you mean 'blue'?",
    ),
    (
        ({**DVCE, "immutable": ["hair", "beerd"]},),
        "counterfactuals.it.immutable: the images have no part 'beerd'; did you mean 'beard'?",
    ),
    (
        ({**DVCE, "immutable": ["hair"]}, None, {"digits": "scikit-learn"}),
        "counterfactuals.it.immutable: nothing is known of the parts of these images; leave it out, or use a world, or"
        " a folder with `masks`.",
    ),
    (
        ({**DVCE, "region": {"parts": ["hair"]}}, None, {"folder": "photos", "masks": "masks"}),
        "counterfactuals.it.region.parts: the images have no part 'hair'; there are object.",
    ),
    (
        ({**DVCE, "region": {"parts": ["hair"]}}, None, {"folder": "photos"}),
        "counterfactuals.it.region.parts: nothing is known of the parts of these images; leave it out, or use a world,"
        " or a folder with `masks`.",
    ),
    (
        ({**DVCE, "region": {"drawn": "mask.png"}},),
        "counterfactuals.it.region.drawn: there is no file mask.png; give the path of an image of the region.",
    ),
    (
        ({**DVCE, "region": {"drawn": "data/targets/colour.csv"}},),
        "counterfactuals.it.region.drawn: data/targets/colour.csv holds no mask (the file is no JPEG, PNG, WEBP, BMP,"
        " TIFF or GIF image); save it as a PNG.",
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), CASES, ids=[sentence[:60] for _, sentence in CASES])
def test_what_cannot_work_is_refused_in_one_sentence(arguments, sentence):
    assert complaint(*arguments) == sentence


def test_a_region_of_maps_that_a_classifier_does_not_have_is_refused():
    maps = {"maps": {"method": "random", "classifiers": ["theirs"]}}
    method = {**DVCE, "region": {"saliency": "maps"}}
    assert complaint(method, BOTH, saliency=maps) == (
        f"counterfactuals.it.region.saliency: 'maps' makes no maps of classifier 'mine'; name another entry, {LIMIT}"
    )
    check_methods(plan({**method, "classifiers": ["theirs"]}, BOTH, saliency=maps))


def test_maps_of_a_direction_are_made_of_the_classifiers_that_it_explains():
    generators = {"dae": {"file": "dae.safetensors"}, "adm": {"file": "adm.safetensors"}}
    follows = {"method": "bb-lig", "direction": "g"}
    made = {
        "directions": {"g": {"method": "gcd", "autoencoder": "dae", "classifiers": ["theirs"]}},
        "generators": generators,
    }
    assert complaint(DVCE, BOTH, attributions={"maps": follows}, **made) == (
        f"attributions.maps.direction: 'g' is no direction of classifier 'mine'; name another entry, {LIMIT}"
    )
    here = {"maps": {**follows, "classifiers": ["theirs"]}}
    confined = {**DVCE, "classifiers": ["theirs"], "region": {"saliency": "maps"}}
    fitting = plan(confined, BOTH, attributions=here, **made)
    check_methods(fitting)
    (maps,) = fitting.inputs("counterfactuals", "saliency", "theirs", "000")
    assert maps.endswith("tables/saliency/attribute/theirs/part-000.parquet")


def test_a_guide_of_other_classes_is_refused_and_one_that_is_still_to_come_is_not():
    check_methods(plan(GUIDED))
    save_guide(MOODS)
    check_methods(plan(GUIDED))
    save_guide(["glad", "sad"])
    assert complaint(GUIDED) == (
        "counterfactuals.it.guide: 'guide' tells glad, sad apart, and classifier 'mine' has the classes sad, glad; name"
        f" a guide that was trained with the same classes, {LIMIT}"
    )


@pytest.mark.parametrize(
    "method",
    [
        {**DVCE, "cone": {"helper": "mine"}, "classifiers": ["mine"], "immutable": ["hair"]},
        {**PGD, "target": {"fixed": "red"}, "classifiers": ["theirs"]},
        {**PGD, "target": "near", "classifiers": ["theirs"]},
        {**PGD, "target": {"fixed": "1"}},
    ],
)
def test_what_fits_is_accepted(method):
    if method.get("target") == "near":
        Path("data/targets/colour.csv").write_text("source_class,target_class,relation\nred,2,near\nred,blue,far\n")
    check_methods(plan(method, BOTH))


RECIPE = {"dataset": {"world": "portraits", "size": 32}, "steps": 1}
WIDTH = {"channels": 32, "multipliers": [1]}


def test_generators_that_are_still_to_be_trained_are_known_by_their_recipes():
    trained = {"adm": {"trained": "walks"}, "guide": {"trained": "guides"}}
    guides = {**RECIPE, "noisy_classifier": WIDTH, "task": "smile"}
    smile = {"mine": {**MINE, "task": "smile", "classes": ["absent", "present"]}}
    recipes = {"walks": {**RECIPE, "unet": WIDTH}, "guides": guides}
    check_methods(plan(GUIDED, smile, generators=trained, training=recipes))
    smaller = {**recipes, "guides": {**guides, "dataset": {"world": "portraits", "size": 64}}}
    assert complaint(GUIDED, smile, generators=trained, training=smaller).startswith(
        "counterfactuals.it.guide: generator 'guide' takes images of 64 pixels and the generator makes them of 32;"
    )
    swapped = {"adm": {"trained": "guides"}, "guide": {"trained": "walks"}}
    assert complaint(GUIDED, smile, generators=swapped, training=recipes) == (
        "counterfactuals.it.generator: generator 'adm' is a classifier of noised images; name a diffusion model here."
    )
    restores = {**RECIPE, "autoencoder": {**WIDTH, "encoder_multipliers": [1]}}
    assert complaint(GUIDED, smile, generators=trained, training={**recipes, "walks": restores}) == (
        "counterfactuals.it.generator: generator 'adm' is a diffusion autoencoder; name a diffusion model here."
    )
    other = {**recipes, "guides": {**guides, "task": "look"}}
    assert "counterfactuals.it.guide: 'guide' tells " in complaint(GUIDED, generators=trained, training=other)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"half of a file", "generator 'adm': adm.safetensors is not a safetensors file, or is incomplete"),
        (None, "generator 'adm': adm.safetensors has weights but no description of a diffusion model;"),
    ],
)
def test_a_file_that_is_no_generator_is_refused(content, sentence, tmp_path):
    if content is None:
        Bench(tmp_path, tmp_path).network("adm.safetensors")
    else:
        Path("adm.safetensors").write_bytes(content)
    assert complaint(DVCE).startswith(sentence)


def test_a_damaged_file_of_a_classifier_is_refused():
    Path("ours.safetensors").write_bytes(b"half of a file")
    sentence = "classifier 'ours': ours.safetensors is not a safetensors file, or is incomplete"
    assert complaint(PGD, {"ours": {"file": "ours.safetensors"}}).startswith(sentence)


def test_a_map_without_gradients_is_made_of_a_black_box():
    black_box = {"mine": {**MINE, "differentiable": False}}
    without = {"lime": {"method": "lime"}, "occlusion": {"method": "occlusion"}, "random": {"method": "random"}}
    check_methods(plan(GUIDED, black_box, saliency=without))
    for method in set(methods("saliency")) - set(without):
        assert complaint(GUIDED, black_box, saliency={"map": {"method": method}}).startswith(
            f"saliency.map: {method} needs gradients and classifier 'mine' gives none"
        )


def test_a_black_box_can_be_explained_by_a_guide_of_its_own():
    check_methods(plan(GUIDED, {"mine": {**MINE, "differentiable": False}}))


def test_classes_are_known_by_entry_file_recipe_or_guide(tmp_path):
    Bench(tmp_path, tmp_path).network("ours.safetensors")
    save_guide(MOODS)
    recipe = {"dataset": {"world": "portraits"}, "tasks": ["smile", "tilt"], "architecture": "resnet18"}
    classifiers = {
        "ours": {"file": "ours.safetensors"},
        "noisy": {"noisy_classifier": "guide.safetensors", "task": "mood"},
        "coming": {"trained": "coming"},
        "absent": {"file": "absent.safetensors"},
        "mine": MINE,
    }
    made = plan(PGD, classifiers, training={"coming": recipe})
    found = {name: classes_of(made, name) for name in classifiers}
    assert {name: {task: names and list(names) for task, names in heads.items()} for name, heads in found.items()} == {
        "ours": {"smile": ["absent", "present"]},
        "noisy": {"mood": MOODS},
        "coming": {"smile": ["absent", "present"], "tilt": None},
        "absent": {},
        "mine": {"mood": MOODS},
    }


MISTAKES = [
    ({**DVCE, "steps": 5, "skip": 5}, "skip is 5 of 5 steps; use 0 to 4"),
    ({"method": "ace", "generator": "adm", "start": 30}, "start is 30 of 25 steps; use 1 to 25"),
    ({"method": "ace", "generator": "adm", "dilation": 4}, "must be an odd number, such as 5"),
]


@pytest.mark.parametrize(("method", "sentence"), MISTAKES)
def test_options_that_contradict_each_other_are_refused(method, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan(method)
