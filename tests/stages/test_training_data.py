import pytest

from pipeline.classifiers.load import load_classifier
from pipeline.errors import UserError
from pipeline.stages.train import split_training_data, train
from pipeline.stages.training_data import read_training_data
from pipeline.study.training import Training


def recipe(**options):
    """A recipe of a training on digits."""
    values = {"dataset": {"digits": "scikit-learn", "size": 16}, "tasks": ["digit"], "architecture": "resnet18"}
    return Training.model_validate({**values, **options})


def test_a_tenth_of_finite_data_is_held_out():
    there = len(read_training_data(recipe(), "train", None, ["digit"]).images)
    seen, held_out = split_training_data(recipe())
    assert (len(seen.images), len(held_out.images)) == (there - there // 10, there // 10)
    seen, held_out = split_training_data(recipe(rows=90, held_out=500))
    assert (len(seen.images), len(held_out.images)) == (90, 10)


def test_of_a_world_as_many_are_held_out_as_the_recipe_says():
    world = {"dataset": {"world": "portraits", "size": 32}, "tasks": ["smile"], "rows": 40, "held_out": 7}
    seen, held_out = split_training_data(recipe(**world))
    assert (len(seen.images), len(held_out.images)) == (40, 7)


def test_more_images_than_there_are_is_one_sentence_with_a_number_that_fits():
    with pytest.raises(UserError, match=r"the split train has \d+; set rows to \d+ or less") as error:
        split_training_data(recipe(rows=2000))
    fitting = int(str(error.value).split("set rows to ")[1].split()[0])
    assert len(split_training_data(recipe(rows=fitting))[0].images) == fitting


def test_no_image_is_in_two_parts():
    parts = {split: read_training_data(recipe(), split, None, ["digit"]).images for split in ("train", "test")}
    seen = {image.numpy().tobytes() for image in parts["train"]}
    assert seen.isdisjoint(image.numpy().tobytes() for image in parts["test"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["smile"]}, "has no task 'smile' to train on; its tasks are digit"),
        ({"relabel": {"concept": "a", "by": "b", "nuisance": "c", "below": 0}}, "leave it out for other images"),
    ],
)
def test_what_only_another_dataset_has_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        read_training_data(recipe(**options), "train", 32, options.get("tasks", ()))


def test_an_empty_test_split_is_known_before_training(tmp_path):
    shares = {"train": 1.0, "search": 0.0, "test": 0.0}
    options = recipe(dataset={"digits": "scikit-learn", "size": 16, "shares": shares}, steps=1)
    with pytest.raises(UserError, match="has no labelled images"):
        train("tiny", options.model_dump_json(), tmp_path / "tiny.safetensors", tmp_path / "tiny.md")
    assert not list(tmp_path.iterdir())


def test_a_network_takes_the_size_that_it_was_trained_at(tmp_path):
    options = recipe(rows=32, steps=0, tested=4, options={"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]})
    train("tiny", options.model_dump_json(), tmp_path / "tiny.safetensors", tmp_path / "tiny.md")
    classifier = load_classifier("tiny", {"file": str(tmp_path / "tiny.safetensors")})
    assert (classifier.size, classifier.task, classifier.classes) == (16, "digit", tuple("0123456789"))
    assert "An untrained network" in (tmp_path / "tiny.md").read_text(encoding="utf-8")
