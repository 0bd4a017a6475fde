"""ONNX files, as torch and the onnx package write them."""

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from pipeline.classifiers.identity import identify
from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.sources import external_weights
from pipeline.classifiers.wrap import require_gradients
from pipeline.errors import UserError

CLASSES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def exported(tiny, tmp_path_factory):
    """The tiny network at 16 px for any number of images, as torch writes it: with its weights in a file beside."""
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    shapes = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(tiny(), (torch.rand(4, 3, 16, 16),), path, dynamic_shapes=shapes, dynamo=True, verbose=False)
    return path


def means(shape, kind=TensorProto.FLOAT, outputs=1):
    """An ONNX network that gives the mean of each channel, for inputs of that shape and kind."""
    nodes = [helper.make_node("ReduceMean", ["images", "axes"], [f"means{i}"], keepdims=0) for i in range(outputs)]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info(f"means{i}", kind, [shape[0], shape[1]]) for i in range(outputs)],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture
def saved(tmp_path):
    """A function that saves an ONNX network and gives its entry."""

    def save(model):
        onnx.save(model, tmp_path / "network.onnx")
        return {"onnx": str(tmp_path / "network.onnx"), "classes": CLASSES}

    return save


def test_an_onnx_network_answers_as_the_one_it_was_made_of(exported, tiny, images):
    entry = {"onnx": str(exported), "classes": CLASSES, "mean": 0.5, "std": 0.5, "temperature": 2.0}
    classifier = load_classifier("box", entry)
    assert classifier.size == 16
    for rows in (5, 1):
        assert torch.allclose(classifier(images[:rows]), tiny()((images[:rows] - 0.5) / 0.5) / 2, atol=1e-5)
    assert classifier(torch.rand(2, 1, 40, 40)).shape == (2, 3)


def test_an_onnx_network_is_a_black_box(exported):
    classifier = load_classifier("box", {"onnx": str(exported), "classes": CLASSES, "differentiable": True})
    assert not classifier.differentiable
    assert not classifier(torch.rand(1, 3, 16, 16, requires_grad=True)).requires_grad
    with pytest.raises(UserError, match="method 'dime' needs gradients and classifier 'box' gives none"):
        require_gradients(classifier, "dime")


@pytest.mark.parametrize("batch", [1, 2, 5, 8, "N"])
def test_a_fixed_batch_takes_any_number_of_images(batch, saved, images):
    classifier = load_classifier("fixed", saved(means([batch, 3, 16, 16])))
    assert torch.allclose(classifier(images), images.mean(dim=(2, 3)), atol=1e-6)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_precisions_are_given_what_they_want_and_answer_in_float32(kind, saved, images):
    logits = load_classifier("half", saved(means(["N", 3, "H", "W"], kind)))(images)
    assert logits.dtype == torch.float32 and torch.allclose(logits, images.mean(dim=(2, 3)), atol=1e-2)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (lambda: means(["N", 16, 16, 3]), "takes images of 16 x 3 pixels only, expected square ones"),
        (lambda: means(["N", 4, 16, 16]), "takes 4 channels, expected 1 or 3"),
        (lambda: means(["N", 3, 16, 16], TensorProto.INT32), r"takes tensor\(int32\).*expected floating point"),
        (lambda: means(["N", 3, 16, 16], outputs=2), r"has 2 outputs \(means0, means1\), expected one"),
    ],
)
def test_a_network_of_another_shape_is_said(model, sentence, saved):
    with pytest.raises(UserError, match=sentence):
        load_classifier("odd", saved(model()))


def test_a_file_that_is_not_onnx_is_said(tmp_path):
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"onnxruntime cannot open .*junk\.onnx"):
        load_classifier("junk", {"onnx": str(tmp_path / "junk.onnx"), "classes": CLASSES})


def test_weights_in_a_file_beside_belong_to_the_network(exported, tmp_path):
    assert external_weights(exported) == [exported.with_name("tiny.onnx.data")]
    path = tmp_path / "renamed.onnx"
    path.write_bytes(exported.read_bytes())
    entry = {"onnx": str(path), "classes": CLASSES}
    with pytest.raises(UserError, match=r"tiny\.onnx\.data does not exist"):
        load_classifier("box", entry)
    weights = exported.with_name("tiny.onnx.data").read_bytes()
    (tmp_path / "tiny.onnx.data").write_bytes(weights)
    before = identify("box", entry)
    assert before == identify("box", {"onnx": str(exported), "classes": CLASSES})
    (tmp_path / "tiny.onnx.data").write_bytes(weights[:-1] + b"\x07")
    assert identify("box", entry) != before


def test_a_black_box_has_no_weights_to_perturb(exported):
    with pytest.raises(UserError, match="no weights that classifier_perturbation could change"):
        load_classifier("box", {"onnx": str(exported), "classes": CLASSES, "classifier_perturbation": 0.5})
