"""Occlusion, on scores that read one patch, and against captum's."""

import pytest
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError
from pipeline.explain.occlusion import explain, spans
from pipeline.infill import Infill, load_infill
from pipeline.noise import Noise

NOISE = Noise(1, [f"image-{index}" for index in range(5)], "occlusion")


class Patch(torch.nn.Module):
    """Logits 0 and the brightness of the 4 x 4 pixels at row 8, column 4."""

    def forward(self, images):
        score = images[:, :, 8:12, 4:8].sum((1, 2, 3))
        return torch.stack([score * 0, score], dim=1)


def classifier_of(network, **options):
    return Classifier(network, name="tiny", heads={"look": ("no", "yes")}, **options)


def convolutions():
    torch.manual_seed(0)
    return classifier_of(
        torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2),
            torch.nn.ReLU(),
            torch.nn.Conv2d(8, 8, 3, stride=2),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(8 * 9, 2),
        )
    )


@pytest.fixture
def images():
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def targets():
    return torch.tensor([0, 1, 1, 0, 1])


def test_the_only_patch_that_matters_is_found_by_a_black_box(targets):
    classifier = classifier_of(Patch(), differentiable=False)
    images, black = torch.ones(5, 3, 16, 16), load_infill("mean", colour=[0, 0, 0])
    maps = explain(classifier, images, torch.ones_like(targets), noise=NOISE, infill=black, window=0.25, stride=0.25)
    expected = torch.zeros(16, 16)
    expected[8:12, 4:8] = 4 * 4 * 3  # its pixels go from 1 to 0, and the score is their sum
    assert torch.allclose(maps.map, expected.expand(5, 16, 16))


def test_what_speaks_against_the_target_is_below_zero(targets):
    images, black = torch.ones(5, 3, 16, 16), load_infill("mean", colour=[0, 0, 0])
    maps = explain(classifier_of(Patch()), images, torch.zeros_like(targets), noise=NOISE, infill=black)
    assert (maps.map[:, 8:12, 4:8] < 0).all() and (maps.map <= 0).all()


def test_without_an_in_filler_the_mean_colour_stands_in(targets):
    images = torch.full((5, 3, 16, 16), 0.25)
    assert explain(classifier_of(Patch()), images, targets, noise=NOISE).map.abs().max() == 0


def test_the_map_is_that_of_captum_where_windows_fit(images, targets):
    from captum.attr import Occlusion

    classifier = convolutions()
    ours = explain(classifier, images, targets, noise=NOISE, infill=load_infill("blur"), window=0.25, stride=0.125)
    background = load_infill("blur")(images, torch.zeros(5, 1, 16, 16))
    theirs = Occlusion(lambda images, targets: classifier.score(targets)(images)).attribute(
        images,
        sliding_window_shapes=(3, 4, 4),
        strides=(3, 2, 2),
        baselines=background,
        additional_forward_args=targets,
    )
    assert torch.allclose(ours.map, theirs[:, 0], atol=1e-5)


def test_every_window_has_the_same_size_and_the_last_ends_with_the_image():
    covered = spans(10, window=0.4, stride=0.3)
    assert covered.int().tolist() == [
        [1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
    ]
    assert spans(11, window=0.4, stride=0.3)[-1].int().tolist() == [0] * 7 + [1] * 4
    assert spans(5, window=1.0, stride=1.0).int().tolist() == [[1] * 5]


def test_all_windows_of_an_image_see_one_draw_of_a_random_in_filler(targets):
    seen = []

    def record(images, keep, *, noise, step):
        seen.append(noise.uniform(step, (2,)))
        return torch.zeros_like(images)

    images = torch.ones(2, 3, 16, 16)
    explain(
        classifier_of(Patch()),
        images,
        targets[:2],
        noise=NOISE.select([0, 1]),
        infill=Infill("r", record, per_step=True),
    )
    drawn = torch.cat(seen)[: 2 * 50].view(2, 50, 2)
    assert (drawn == drawn[:, :1]).all() and (drawn[0, 0] != drawn[1, 0]).all()


def test_the_network_sees_one_shape_and_as_many_rows_as_is_reported(targets):
    rows, classifier = [], convolutions()
    handle = classifier.network.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    maps = explain(classifier, torch.rand(2, 3, 16, 16), targets[:2], noise=NOISE.select([0, 1]), batch_size=20)
    handle.remove()
    assert maps.network_evaluations.tolist() == [50, 50]  # 7 x 7 windows and the whole image
    assert rows == [20] * 5


def test_progress_counts_images(images, targets):
    seen = []
    explain(convolutions(), images, targets, noise=NOISE, batch_size=64, progress=seen.append)
    assert seen == [1, 1, 1, 2]


@pytest.mark.parametrize("options", [{"window": 0.1, "stride": 0.2}, {"window": 0}, {"window": 2.0}, {"stride": 0}])
def test_windows_that_leave_gaps_are_refused_in_one_sentence(images, targets, options):
    with pytest.raises(UserError, match=r"such as window: 0\.25 and stride: 0\.125"):
        explain(convolutions(), images, targets, noise=NOISE, **options)
