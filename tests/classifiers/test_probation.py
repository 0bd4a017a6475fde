"""What is found by asking a network about two images before it judges any."""

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.probation import try_out, two_images
from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError

CLASSES = ["red", "green", "blue"]


class WithDropout(torch.nn.Module):
    """Forgets that dropout is for training."""

    def forward(self, images):
        return torch.nn.functional.dropout(images, 0.3).mean((2, 3))


class Function(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


def tried(network, images, **options):
    classifier = Classifier(network, name="mine", heads={"label": CLASSES}, **options)
    try_out(classifier, images)
    return classifier


def test_a_network_that_judges_each_image_by_itself_passes(tiny, images):
    tried(tiny(), images)
    tried(tiny(), images[:1], size=8)
    tried(Function(lambda images: torch.zeros(len(images), 3)), images)


def test_batch_statistics_are_refused(tiny, images):
    network = tiny()
    network[1] = torch.nn.BatchNorm2d(4, track_running_stats=False)
    with pytest.raises(UserError, match="'mine' answers otherwise about an image if there is another one beside it"):
        tried(network, images)


def test_batch_statistics_that_one_image_alone_does_not_have_are_refused(images):
    norm = torch.nn.BatchNorm1d(3)
    means = Function(lambda images: norm(images.mean((2, 3))))  # in training mode; not the function's own child
    with pytest.raises(UserError, match="there is another one beside it"):
        tried(means, images)


def test_dropout_that_stays_on_is_refused(images):
    with pytest.raises(UserError, match="'mine' answered twice about the same images, and otherwise the second time"):
        tried(WithDropout(), images)


def test_rounding_is_no_difference_however_close_the_logits_are(images):
    class Rounds(torch.nn.Module):
        calls = 0

        def forward(self, images):
            self.calls += 1
            return 100 + images.mean((2, 3)) * 1e-4 + 1e-3 * (self.calls % 2)

    tried(Rounds(), images)


def test_the_two_images_differ_in_every_statistic():
    dark, bright = two_images(torch.zeros(7, 3, 16, 16))
    assert bright.mean() - dark.mean() > 0.4 and min(dark.std(), bright.std()) > 0.05
    assert two_images(torch.zeros(1, 1, 8, 9, dtype=torch.float64)).shape == (2, 1, 8, 9)


def test_a_softmax_at_the_end_is_refused_unless_the_entry_says_so(tiny, images):
    network = torch.nn.Sequential(tiny(), torch.nn.Softmax(dim=1))
    with pytest.raises(UserError, match=r"sum to 1, as after a softmax, .* say `output: probabilities`"):
        tried(network, images)
    told = tried(network, images, probabilities=True)
    plain = tried(tiny(), images)
    assert torch.allclose(told(images).softmax(1), plain(images).softmax(1), atol=1e-6)
    assert torch.allclose(told(images), plain(images).log_softmax(1), atol=1e-5)


def test_a_probability_of_0_is_a_finite_logit_with_a_gradient_of_0(images):
    sure = Function(lambda images: torch.stack([images.mean((1, 2, 3)) * 0, images.mean((1, 2, 3)) * 0 + 1], 1))
    classifier = Classifier(sure, name="mine", heads={"label": ["no", "yes"]}, probabilities=True)
    try_out(classifier, images)
    logits = classifier(images.requires_grad_())
    logits.sum().backward()
    assert logits.isfinite().all() and (logits[:, 0] < -80).all() and images.grad.isfinite().all()


def test_probabilities_that_are_none_are_refused(tiny, images):
    with pytest.raises(UserError, match=r"output is probabilities, but its outputs are not all in \[0, 1\] with sum 1"):
        tried(tiny(), images, probabilities=True)


def test_the_probabilities_of_a_reader_are_those_of_each_task(images):
    def said(images):
        brightness = images.mean((1, 2, 3)) / 2
        return torch.stack([brightness, 1 - brightness, 1 - brightness / 2, brightness / 4, brightness / 4], 1)

    heads = {"mood": ["dark", "light"], "colour": CLASSES}
    with pytest.raises(UserError, match="as after a softmax"):
        try_out(Classifier(Function(said), name="mine", heads=heads), images)
    one_task = Classifier(Function(said), name="mine", heads=heads).for_task("colour")
    with pytest.raises(UserError, match="as after a softmax"):
        try_out(one_task, images)


def test_a_column_that_output_names_may_stand_beside_columns_of_any_kind(tiny, images):
    network = torch.nn.Sequential(tiny(), torch.nn.Softmax(dim=1))
    classifier = Classifier(network, name="mine", heads={"label": ["no", "yes"]}, sigmoid=1)
    try_out(classifier, images)
    assert classifier(images).shape == (5, 2)


def test_an_onnx_network_is_tried_as_well(tmp_path, images):
    values = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, "H", "W"])]
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
    ]
    nodes.append(helper.make_node("Softmax", ["flat"], ["shares"]))
    shares = helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["N", 3])
    model = helper.make_model(
        helper.make_graph(nodes, "ends in a softmax", values, [shares]), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 10
    onnx.save(model, tmp_path / "mine.onnx")
    entry = {"onnx": str(tmp_path / "mine.onnx"), "classes": CLASSES}
    with pytest.raises(UserError, match="as after a softmax"):
        try_out(load_classifier("mine", entry), images)
    classifier = load_classifier("mine", {**entry, "output": "probabilities"})
    try_out(classifier, images)
    assert torch.allclose(classifier(images), images.mean((2, 3)).log_softmax(1), atol=1e-6)
