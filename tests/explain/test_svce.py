"""SVCE: the linear maximum against brute force, and Frank-Wolfe where the answer is known in closed form."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from pipeline.classifiers.wrap import Classifier, log_odds
from pipeline.diffusion.samplers import START
from pipeline.errors import UserError
from pipeline.explain.frank_wolfe import check_lengths, doing_badly, furthest, maximise
from pipeline.explain.svce import explain
from tests.explain.planted import conv_classifier, named_noise, random_images


def random_problems(count, size, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, size, generator=generator), torch.randn(count, size, generator=generator)


def lengths_of(offsets, norm):
    return torch.linalg.vector_norm(offsets.flatten(1).double(), norm, dim=1)


def make(classifier, images, targets, **options):
    settings = {"batch_size": 4, "radius": 8.0, "iterations": 12, **options}
    return explain(classifier, images, targets, noise=named_noise(len(images), "svce"), **settings)


def in_ball(radius, norm):
    """The ball around 0 as a constraint of scipy's optimisers."""
    return {"type": "ineq", "fun": lambda offset: radius**norm - (np.abs(offset) ** norm).sum()}


def numerical_linear_maximum(image, direction, radius, norm):
    """The offset within ball and box that goes furthest along the direction, by sequential quadratic programming."""
    pull, room = np.abs(direction), np.where(direction > 0, 1 - image, image)
    found = minimize(
        lambda offset: -pull @ offset,
        np.minimum(room, radius) * 0.3,
        jac=lambda offset: -pull,
        bounds=[(0, end) for end in room],
        constraints=in_ball(radius, norm),
        options={"maxiter": 500, "ftol": 1e-12},
        method="SLSQP",
    )
    return np.sign(direction) * found.x


def numerical_distance(image, far, radius, norm):
    """The squared distance from a far point to the nearest one within ball and box."""
    found = minimize(
        lambda offset: ((image + offset - far) ** 2).sum(),
        0.01 * np.sign(far - image),
        bounds=list(zip(-image, 1 - image, strict=True)),
        constraints=in_ball(radius, norm),
        options={"maxiter": 500, "ftol": 1e-12},
        method="SLSQP",
    )
    return found.fun


@pytest.mark.parametrize("norm", [1.2, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("radius", [0.15, 0.5, 1.1])
def test_the_linear_maximum_is_the_one_that_a_numerical_optimiser_finds(norm, radius):
    images, directions = random_problems(6, 5)
    ours = (furthest(images, directions, radius, norm) - images).double().numpy()
    for image, direction, offset in zip(images.double().numpy(), directions.double().numpy(), ours, strict=True):
        theirs = numerical_linear_maximum(image, direction, radius, norm)
        assert direction @ offset == pytest.approx(direction @ theirs, abs=2e-5)
        assert np.abs(offset - theirs).max() < 5e-3


def test_the_linear_maximum_beats_every_point_of_a_grid():
    image, direction = torch.tensor([[0.3, 0.9]]), torch.tensor([[1.0, 0.6]])
    found = furthest(image, direction, 0.4, 1.5)
    ticks = torch.linspace(0, 1, 801).double()
    grid = torch.cartesian_prod(ticks, ticks)
    inside = grid[lengths_of(grid - image, 1.5) <= 0.4]
    reached = ((found - image) * direction).sum()
    best = ((inside - image) * direction).sum(1).max()
    assert best - 1e-6 <= reached <= best + 3e-3
    assert found[0, 1] == 1  # as far as the box allows; the rest of the ball goes to the other pixel


@pytest.mark.parametrize("norm", [1.1, 1.5, 2.0])
def test_both_limits_hold_and_the_tighter_one_is_used_up(norm):
    images, directions = random_problems(50, 300)
    images[:, :40] = 0.0
    images[:, 40:80] = 1.0
    directions[:, ::7] = 0.0
    directions[1::2] *= 1e-18
    room = torch.where(directions > 0, 1 - images, images) * (directions != 0)
    for radius in (0.5, 20.0, 1e4):
        found = furthest(images, directions, radius, norm)
        assert found.min() >= 0 and found.max() <= 1
        assert torch.equal(found[:, ::7], images[:, ::7])
        expected = lengths_of(room, norm).clamp(max=radius)
        assert torch.allclose(lengths_of(found - images, norm), expected, rtol=1e-5)


def test_the_ball_holds_where_directions_differ_beyond_what_numbers_can_tell():
    """The powers of all but the first are 0 in float64, so that only the ball says how far they may go."""
    images, directions = torch.zeros(1, 50), torch.full((1, 50), 1e-35)
    directions[0, 0] = 1.0
    assert lengths_of(furthest(images, directions, 3.0, 1.1), 1.1) <= 3.0 + 1e-6


def test_without_a_direction_images_stay():
    images, _ = random_problems(3, 12)
    assert torch.equal(furthest(images, torch.zeros_like(images), 1.0, 1.5), images)


def test_a_linear_objective_is_maximal_after_one_step():
    images, directions = random_problems(4, 48)
    objective = lambda points: (points * directions).sum(1)  # noqa: E731
    exact = furthest(images, directions, 2.0, 1.5)
    assert torch.allclose(maximise(objective, images, images, radius=2.0, norm=1.5, iterations=1), exact, atol=1e-6)


def nearest_to(points):
    """An objective that is largest at given points (N, ...)."""
    return lambda images: -(images - points).square().flatten(1).sum(1)


def far_points(images, directions):
    return images + 0.5 * directions.sign()


@pytest.mark.parametrize("step_size", ["decaying", "constant"])
def test_a_concave_objective_comes_close_to_its_maximum_within_the_ball(step_size):
    images, directions = random_problems(2, 6, seed=3)
    images = images * 0.2 + 0.4
    far, gaps = far_points(images, directions), []
    pairs = zip(images.double().numpy(), far.double().numpy(), strict=True)
    exact = torch.tensor([-numerical_distance(*pair, 0.4, 1.5) for pair in pairs])
    for iterations in (10, 300):
        found = maximise(
            nearest_to(far), images, images, radius=0.4, norm=1.5, iterations=iterations, step_size=step_size
        )
        assert (lengths_of(found - images, 1.5) <= 0.4 + 1e-6).all()
        gaps.append((exact - nearest_to(far)(found)).max().item())
    assert -1e-5 < gaps[1] < 1e-3 and gaps[1] <= gaps[0] + 1e-6


def frank_wolfe_by_hand(objective, image, radius, norm, iterations, first, decays, falls):
    """One image (1, ...), with a record of every value instead of counters; also how often its steps were cut."""
    lengths = check_lengths(iterations)
    point, size, cuts, kept_at_last_check, best_at_last_check = image, first, [], False, objective(image).item()
    visited, pairs = [(objective(image).item(), image)], []
    for step in range(iterations):
        moving = point.clone().requires_grad_()
        before = objective(moving)
        (slope,) = torch.autograd.grad(before.sum(), moving)
        point = point + size / (step**0.5 + 2 if decays else 1) * (furthest(image, slope, radius, norm) - point)
        visited.append((objective(point).item(), point))
        pairs.append(objective(point).item() > before.item())
        if step in lengths:
            best_value, best = max(visited, key=lambda seen: seen[0])
            few = sum(pairs[-lengths[step] :]) <= 0.75 * lengths[step]
            stuck = kept_at_last_check and best_value <= best_at_last_check
            cuts.append(few or stuck)
            if few or stuck:
                size, point = size * falls, best
            kept_at_last_check, best_at_last_check = not (few or stuck), best_value
    return max(visited, key=lambda seen: seen[0])[1], cuts


@pytest.mark.parametrize(("step_size", "numbers"), [("decaying", (2.0, True, 0.75)), ("constant", (0.75, False, 0.5))])
def test_each_image_takes_the_steps_and_cuts_that_the_rule_gives_it_alone(step_size, numbers):
    images, directions = (drawn.double() for drawn in random_problems(6, 10, seed=3))
    far = images + torch.tensor([0.02, 0.05, 0.1, 0.2, 0.5, 2.0])[:, None] * directions
    options = {"radius": 0.4, "norm": 1.5, "iterations": 40}
    together = maximise(nearest_to(far), images, images, step_size=step_size, **options)
    kept_or_cut = set()
    for row in range(6):
        first, decays, falls = numbers
        alone, cuts = frank_wolfe_by_hand(
            nearest_to(far[row, None]), images[row, None], **options, first=first, decays=decays, falls=falls
        )
        assert torch.allclose(together[row, None], alone, atol=1e-9)
        kept_or_cut |= set(cuts)
    assert kept_or_cut == {True, False}


def test_steps_get_shorter_if_few_improved_or_if_longer_ones_found_nothing_better():
    yes, no = torch.tensor([True]), torch.tensor([False])
    for fell, better in ((yes, yes), (yes, no), (no, yes), (no, no)):
        assert doing_badly(torch.tensor([6.0]), 8, fell, better)  # 75 %
    assert not doing_badly(torch.tensor([7.0]), 8, no, yes)
    assert doing_badly(torch.tensor([7.0]), 8, no, no)
    assert not doing_badly(torch.tensor([7.0]), 8, yes, no)  # shorter steps get their chance first


def test_an_image_that_improves_step_by_step_but_stays_below_its_best_goes_back_to_it_at_the_second_check():
    """100 iterations are checked after 22, then after 19 more. Values are given; the direction turns at every step."""
    images, direction = random_problems(1, 8)
    ahead, visited = furthest(images, direction, 0.5, 1.5), []
    values = [0.0, *range(1, 21), 5.0, 5.1, *(5.2 + 0.1 * step for step in range(80))]

    def scripted(points):
        visited.append(points.detach())
        along = (points * direction).sum(1) * (-1) ** (len(visited) - 1)
        return along - along.detach() + values[len(visited) - 1]

    best = maximise(scripted, images, images, radius=0.5, norm=1.5, iterations=100, step_size="constant")
    assert torch.allclose(visited[23], visited[22] + 0.75 * (ahead - visited[22]))
    assert torch.allclose(visited[42], visited[20] + 0.75 / 2 * (ahead - visited[20]))
    assert torch.equal(best, visited[20])


def test_steps_are_checked_ever_more_often():
    lengths = check_lengths(75)
    assert list(lengths.values())[:4] == [16, 14, 12, 10] and list(lengths)[:2] == [15, 29]
    assert min(lengths.values()) == 4 and max(lengths) < 75
    assert check_lengths(1) == {0: 1}


def test_the_best_point_on_the_way_is_what_comes_back():
    """An objective that every step makes worse keeps the start."""
    images, directions = random_problems(3, 20)
    start = furthest(images, directions, 1.0, 1.5)
    objective = lambda points: -(points - start).square().sum(1) + 0 * points.sum(1)  # noqa: E731
    best = maximise(objective, images, start, radius=1.0, norm=1.5, iterations=20)
    assert torch.equal(best, start)


def test_a_linear_classifier_is_answered_in_closed_form():
    weights = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(2))

    class Linear(torch.nn.Module):
        def forward(self, images):
            score = (images * weights).sum((1, 2, 3))
            return torch.stack([-score / 2, score / 2], dim=1)

    classifier = Classifier(Linear(), name="linear", heads={"look": ("no", "yes")})
    images, targets = random_images(4), torch.tensor([1, 0, 1, 0])
    made = make(classifier, images, targets).images
    signs = (2 * targets - 1).view(-1, 1, 1, 1)
    assert torch.allclose(made, furthest(images, signs * weights, 8.0, 1.5), atol=1e-5)


def test_where_the_classifier_says_nothing_the_start_comes_back_which_the_image_s_noise_gives():
    class Blind(torch.nn.Module):
        def forward(self, images):
            return torch.zeros(len(images), 2) + 0 * images.mean()

    images, noise = random_images(3), named_noise(3, "svce")
    made = make(Classifier(Blind(), name="blind", heads={"kind": ("a", "b")}), images, torch.tensor([0, 1, 0])).images
    assert torch.equal(made, furthest(images, noise.normal(START, images.shape[1:]), 8.0, 1.5))


@pytest.mark.parametrize("step_size", ["decaying", "constant"])
def test_ball_and_box_hold_and_the_target_gains(step_size):
    classifier, images, targets = conv_classifier(), random_images(6), torch.tensor([0, 1, 2, 0, 1, 2])
    made = make(classifier, images, targets, step_size=step_size).images
    assert made.min() >= 0 and made.max() <= 1
    assert (lengths_of(made - images, 1.5) <= 8.0 * (1 + 1e-6)).all()
    assert (log_odds(classifier(made), targets) > log_odds(classifier(images), targets) + 0.1).all()


def test_the_classifier_is_asked_as_often_as_is_reported():
    forward, backward, classifier = [], [], conv_classifier()
    classifier.network.register_forward_hook(lambda module, inputs, output: forward.append(len(output)))
    classifier.network.register_full_backward_hook(lambda module, inside, outside: backward.append(len(outside[0])))
    made = make(classifier, random_images(4), torch.tensor([0, 1, 2, 0]), iterations=9)
    assert made.classifier_evaluations.tolist() == [10] * 4
    assert sum(forward) == 4 * 10 and sum(backward) == 4 * 9
    assert made.denoiser_evaluations.tolist() == made.denoiser_gradients.tolist() == [0] * 4


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"radius": 0}, "such as 150"),
        ({"norm": 1.0}, "such as 1.5"),
        ({"iterations": 0}, "such as 75"),
        ({"step_size": "decay"}, "use decaying"),
    ],
)
def test_a_wrong_option_is_answered_with_a_valid_one(options, hint):
    with pytest.raises(UserError, match=hint):
        make(conv_classifier(), random_images(1), torch.tensor([1]), **options)
