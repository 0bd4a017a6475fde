"""The contract of a classifier, on networks whose answers one can work out."""

import pytest
import torch

from pipeline.classifiers.wrap import Classifier, check_logits, log_odds, require_gradients
from pipeline.errors import UserError


class Means(torch.nn.Module):
    """The mean of each channel as a logit: what the network saw, in three numbers."""

    def forward(self, images):
        return images.mean(dim=(2, 3))


class InPlace(torch.nn.Module):
    """A network that works on its input in place."""

    def forward(self, images):
        return images.mul_(3).add_(1).mean(dim=(2, 3))


class Constant(torch.nn.Module):
    """The same outputs for every image."""

    def __init__(self, *outputs):
        super().__init__()
        self.outputs = torch.tensor([outputs])

    def forward(self, images):
        return self.outputs.expand(len(images), -1)


def classifier_of(network, classes=("red", "green", "blue"), **options):
    return Classifier(network, name="tiny", heads={"colour": classes}, **options)


@pytest.mark.parametrize("size", [(32, 32), (128, 128), (40, 56), (7, 7)])
def test_images_of_any_size_reach_the_network_at_its_own(size):
    seen = []

    class Watch(Means):
        def forward(self, images):
            seen.append(images.shape)
            return super().forward(images)

    assert classifier_of(Watch(), size=24)(torch.rand(2, 3, *size)).shape == (2, 3)
    assert seen == [(2, 3, 24, 24)]


@pytest.mark.parametrize(("before", "after"), [(64, 32), (32, 64), (96, 37), (37, 96)])
def test_resizing_is_torchs_antialiased_bilinear_one(before, after):
    images = torch.rand(2, 3, before, before)
    expected = torch.nn.functional.interpolate(images, (after, after), mode="bilinear", antialias=True)
    seen = classifier_of(Means(), size=after).prepare(images)
    assert torch.allclose(seen, expected, atol=1e-6)


def test_images_of_the_right_size_are_not_resampled():
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(classifier_of(Means(), size=32).prepare(images), images)


def test_the_gradient_of_resizing_is_torchs_too():
    gradients = []
    for resize in (
        classifier_of(Means(), size=32).prepare,
        lambda images: torch.nn.functional.interpolate(images, (32, 32), mode="bilinear", antialias=True),
    ):
        images = torch.ones(1, 3, 20, 20, requires_grad=True)
        (resize(images) * torch.linspace(0, 1, 32)).sum().backward()
        gradients.append(images.grad)
    assert torch.allclose(*gradients, atol=1e-5)


def test_grey_images_are_repeated_and_colour_is_mixed_by_luma():
    grey = torch.full((1, 1, 4, 4), 0.5)
    assert torch.allclose(classifier_of(Means())(grey), torch.full((1, 3), 0.5))
    red = torch.zeros(1, 3, 4, 4)
    red[:, 0] = 1
    seen = classifier_of(Means(), classes=("dark", "light"), channels=1).prepare(red)
    assert seen.shape == (1, 1, 4, 4) and torch.allclose(seen, torch.tensor(0.299))


def test_normalisation_and_temperature_are_applied_and_nothing_is_clamped():
    images = torch.tensor([-0.5, 0.25, 1.5]).reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    logits = classifier_of(Means(), mean=[0.5, 0.25, 0.5], std=0.5, temperature=4.0)(images)
    assert torch.allclose(logits, torch.tensor([[-0.5, 0.0, 0.5]]))


@pytest.mark.parametrize("size", [8, 4, None])
def test_a_network_that_works_in_place_changes_nobodys_images_and_keeps_their_gradient(size):
    images = torch.rand(2, 3, 8, 8)
    kept = images.clone()
    leaf = images.requires_grad_()
    classifier_of(InPlace(), size=size)(leaf).sum().backward()
    assert torch.equal(images.detach(), kept)
    # The mean over an image is multiplied by 3, and so is what all its pixels together contribute.
    assert torch.allclose(leaf.grad.sum(dim=(2, 3)), torch.full((2, 3), 3.0))


def test_gradients_reach_the_images_and_not_the_weights(tiny):
    classifier = classifier_of(tiny(), size=16)
    images = torch.rand(2, 3, 20, 20, requires_grad=True)
    classifier(images).sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(not weight.requires_grad and weight.grad is None for weight in classifier.parameters())


def test_a_row_does_not_depend_on_its_batch(tiny):
    classifier = classifier_of(tiny(), size=16).train()
    images = torch.rand(6, 3, 20, 20)
    together = classifier(images)
    beside_others = classifier(torch.cat([images[:1], torch.rand(5, 3, 20, 20)]))
    assert torch.allclose(together[0], beside_others[0], atol=1e-5)
    assert not classifier.training and not classifier.network.training


def test_half_precision_weights_judge_in_float32_on_the_cpu(tiny):
    classifier = classifier_of(tiny().half())
    assert classifier(torch.rand(1, 3, 16, 16)).dtype == torch.float32


def test_a_sigmoid_output_becomes_two_logits_around_zero():
    classifier = classifier_of(Constant(9.0, 9.0, 3.0), classes=("serious", "smiling"), sigmoid=2)
    logits = classifier(torch.rand(4, 3, 8, 8))
    assert torch.equal(logits, torch.tensor([[-1.5, 1.5]]).expand(4, 2))
    assert torch.allclose(logits.softmax(dim=1)[:, 1], torch.sigmoid(torch.tensor(3.0)))


def test_several_sigmoid_outputs_become_the_heads_of_a_reader():
    heads = {"smile": ["no", "yes"], "hat": ["none", "some"]}
    reader = Classifier(Constant(1.0, 2.0, 3.0), name="attributes", heads=heads, sigmoid=[2, 0])
    assert reader(torch.rand(1, 3, 8, 8)).tolist() == [[-1.5, 1.5, -0.5, 0.5]]


def test_a_reader_names_its_heads_and_gives_each_as_a_classifier_of_its_own():
    heads = {"smile": ["no", "yes"], "hat": ["none", "cap", "top"]}
    temperature = {"smile": 1.0, "hat": 2.0}
    reader = Classifier(Constant(0.0, 1.0, 2.0, 4.0, 6.0), name="concepts", heads=heads, temperature=temperature)
    assert reader.task == "smile+hat"
    assert reader.classes == ("smile=no", "smile=yes", "hat=none", "hat=cap", "hat=top")
    assert reader.heads["hat"] == (("none", "cap", "top"), slice(2, 5))
    images = torch.rand(1, 3, 8, 8)
    assert reader(images).tolist() == [[0.0, 1.0, 1.0, 2.0, 3.0]]
    hat = reader.for_task("hat")
    assert (hat.task, hat.classes, hat(images).tolist()) == ("hat", ("none", "cap", "top"), [[1.0, 2.0, 3.0]])
    assert hat.network is reader.network and reader.classes[0] == "smile=no"
    with pytest.raises(UserError, match=r"no task 'hut'.*did you mean 'hat'"):
        reader.for_task("hut")


def test_the_score_of_a_target_is_its_log_odds():
    classifier = classifier_of(Constant(1.0, 2.0, 3.0))
    score = classifier.score(torch.tensor([0, 2]))(torch.rand(2, 3, 8, 8))
    p = torch.tensor([1.0, 2.0, 3.0]).softmax(dim=0)[[0, 2]]
    assert torch.allclose(score, p.log() - (1 - p).log())
    assert log_odds(torch.tensor([[400.0, 0.0]]), torch.tensor([0])).tolist() == [400.0]


def test_a_reader_must_choose_a_task_before_it_scores():
    reader = Classifier(Constant(0.0, 1.0, 0.0, 1.0), name="r", heads={"a": ["n", "y"], "b": ["n", "y"]})
    with pytest.raises(UserError, match="choose one of: a, b"):
        reader.score(torch.tensor([0]))


def test_another_number_of_outputs_than_classes_is_said_at_the_first_forward():
    with pytest.raises(UserError, match=r"'tiny' returned outputs of shape \(2, 3\), expected \(N, 2\).*sigmoid"):
        classifier_of(Means(), classes=("no", "yes"))(torch.rand(2, 3, 8, 8))


def test_a_sigmoid_column_that_does_not_exist_is_said():
    with pytest.raises(UserError, match=r"shape \(2, 3\).*column 31"):
        classifier_of(Means(), classes=("no", "yes"), sigmoid=31)(torch.rand(2, 3, 8, 8))


def test_outputs_that_are_no_tensor_are_said():
    class Wordy(torch.nn.Module):
        def forward(self, images):
            return {"logits": images.mean(dim=(2, 3))}

    with pytest.raises(UserError, match="returned a dict, expected a tensor"):
        classifier_of(Wordy())(torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_said_with_their_row(broken):
    logits = torch.zeros(3, 2)
    logits[1, 0] = broken
    with pytest.raises(UserError, match=r"'tiny' gave NaN or infinite logits for 1 of 3 images \(first: row 1\)"):
        check_logits("tiny", logits, ("no", "yes"))
    with pytest.raises(UserError, match="NaN or infinite"):
        classifier_of(Constant(0.0, broken, 0.0))(torch.rand(1, 3, 8, 8))


def test_images_that_the_network_cannot_take_are_said_with_the_option_to_set():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 2))
    with pytest.raises(UserError, match=r"could not take images of 3 channel\(s\) and 9 x 9 pixels.*set its `size`"):
        classifier_of(network, classes=("no", "yes"))(torch.rand(1, 3, 9, 9))


def test_memory_errors_of_the_first_forward_stay_memory_errors():
    class Greedy(torch.nn.Module):
        def forward(self, images):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        classifier_of(Greedy())(torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize("images", [torch.rand(3, 8, 8), torch.rand(1, 4, 8, 8), torch.zeros(1, 3, 8, 8).byte()])
def test_images_of_another_kind_are_refused(images):
    with pytest.raises(UserError, match="give floating point numbers"):
        classifier_of(Means())(images)


def test_a_network_that_hides_its_gradient_is_found_out():
    class Hidden(Means):
        def forward(self, images):
            return super().forward(images).detach()

    images = torch.rand(1, 3, 8, 8, requires_grad=True)
    with pytest.raises(UserError, match=r"without gradients.*differentiable: false"):
        classifier_of(Hidden())(images)
    with torch.no_grad():
        assert classifier_of(Hidden())(images).shape == (1, 3)


def test_a_black_box_gives_no_gradients_and_says_so_to_methods_that_need_them():
    black_box = classifier_of(Means(), differentiable=False)
    assert not black_box(torch.rand(1, 3, 8, 8, requires_grad=True)).requires_grad
    with pytest.raises(UserError, match="method 'dvce' needs gradients and classifier 'tiny' gives none"):
        require_gradients(black_box, "dvce")
    require_gradients(classifier_of(Means()), "dvce")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mean": [0.5, 0.5]}, r"mean has 2 values for 3 channel"),
        ({"std": [0.5, 0.0, 0.5]}, "must be above 0"),
        ({"temperature": 0.0}, "give one number above 0"),
        ({"temperature": {"smile": 1.0}}, "for each of the tasks colour"),
        ({"sigmoid": 0}, "each column gives one task with two classes"),
    ],
)
def test_values_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        classifier_of(Means(), **options)


@pytest.mark.parametrize("classes", [["only"], ["twice", "twice"]])
def test_a_task_needs_two_classes_with_names_of_their_own(classes):
    with pytest.raises(UserError, match="give at least two, all with different names"):
        classifier_of(Means(), classes=classes)
