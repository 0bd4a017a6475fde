import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from pipeline.noise import Noise, _open_uniform, stream

image_ids = some.lists(some.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True)
words = some.integers(min_value=0, max_value=2**64 - 1)
drawn_by = pytest.mark.parametrize("draw", [Noise.normal, Noise.uniform])


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ((0, "a", "b", 0, 0), [0.11792269349098206, 0.4627629816532135, 2.0536394119262695]),
        ((2026, "portraits-test-000007", "fido", 1, 3), [0.6689884662628174, -0.6276090145111084, 2.2188754081726074]),
        ((7, "é/☃", "x", 2**40, 5), [0.46517568826675415, 0.6525723338127136, 0.1129995584487915]),
    ],
)
def test_normal_noise_is_what_it_always_was(key, expected):
    """If an upgrade of numpy breaks this, stored rows and new rows no longer share their noise."""
    seed, image_id, purpose, sample, step = key
    assert Noise(seed, [image_id], purpose, sample).normal(step, (3,)).tolist() == [expected]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ((0, "a", "b", 0, 0), [0.2252866483929593, 0.82418610710131]),
        ((2026, "portraits-test-000007", "fido", 1, 3), [0.3547954339006436, 0.8765402196123496]),
        ((7, "é/☃", "x", 2**40, 5), [0.3999576899835303, 0.045710064252311944]),
    ],
)
def test_streams_are_what_they_always_were(key, expected):
    assert stream(*key).random(2).tolist() == expected


@drawn_by
@settings(max_examples=30, deadline=None)
@given(ids=image_ids, data=some.data())
def test_an_image_gets_the_same_noise_whatever_shares_its_batch(draw, ids, data):
    order = data.draw(some.permutations(range(len(ids))))
    kept = order[: data.draw(some.integers(1, len(ids)))]
    together = draw(Noise(3, ids, "test", list(range(len(ids)))), 2, (4, 2))
    apart = draw(Noise(3, [ids[row] for row in kept], "test", kept), 2, (4, 2))
    assert torch.equal(together[kept], apart)


@settings(max_examples=50, deadline=None)
@given(one=some.tuples(words, some.text(max_size=4), some.text(max_size=4), words, words), data=some.data())
def test_streams_differ_where_any_part_of_their_name_differs(one, data):
    other = list(one)
    part = data.draw(some.integers(0, 4))
    other[part] = data.draw((words if part in (0, 3, 4) else some.text(max_size=4)).filter(lambda it: it != one[part]))
    assert stream(*one).integers(0, 2**63, 2).tolist() != stream(*other).integers(0, 2**63, 2).tolist()


def test_names_are_not_joined_ambiguously():
    assert stream(1, "a", "bc").random() != stream(1, "ab", "c").random()
    assert stream(1, "a", "b", sample=1).random() != stream(1, "a", "b", step=1).random()


def test_a_long_stream_does_not_run_into_the_next_step():
    long = stream(1, "a", "b", step=0).integers(0, 2**63, 20000)
    assert not set(long.tolist()) & set(stream(1, "a", "b", step=1).integers(0, 2**63, 100).tolist())


def test_normal_noise_has_the_moments_of_the_normal_distribution():
    noise = Noise(0, [f"image-{row}" for row in range(20)], "moments").normal(0, (10000,)).double()
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01
    assert abs((noise**3).mean()) < 0.03 and abs((noise**4).mean() - 3) < 0.1
    assert torch.corrcoef(noise).fill_diagonal_(0).abs().max() < 0.06


def test_uniform_noise_fills_the_open_interval_evenly():
    noise = Noise(0, [f"image-{row}" for row in range(20)], "moments").uniform(0, (10000,))
    assert noise.dtype == torch.float32
    assert abs(noise.double().mean() - 0.5) < 0.005 and abs(noise.double().var() - 1 / 12) < 0.002
    assert torch.histc(noise, bins=10, min=0, max=1).sub(20000).abs().max() < 700


@pytest.mark.parametrize("extreme", [0.0, 1 - 2**-24])
def test_uniform_noise_never_reaches_zero_or_one(extreme):
    class Extreme:
        def random(self, shape, dtype):
            return numpy.full(shape, extreme, dtype)

    values = torch.from_numpy(_open_uniform(Extreme(), (2,)))
    assert 0 < values[0] < 1 and torch.isfinite(torch.logit(values)).all()


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        ([2, 0, 2], [2, 0, 2]),
        (slice(1, 3), [1, 2]),
        (torch.tensor([3, 1]), [3, 1]),
        (torch.tensor([True, False, False, True]), [0, 3]),
        (numpy.array([False, True, False, False]), [1]),
    ],
)
def test_select_returns_the_noise_of_the_rows_chosen(index, rows):
    noise = Noise(5, ["a", "b", "c", "d"], "test", [4, 5, 6, 7])
    assert torch.equal(noise.select(index).normal(1, (3,)), noise.normal(1, (3,))[rows])


def test_for_purpose_changes_the_purpose_and_nothing_else():
    noise = Noise(5, ["a", "b"], "one", [4, 5])
    assert torch.equal(
        noise.for_purpose("other").normal(0, (3,)), Noise(5, ["a", "b"], "other", [4, 5]).normal(0, (3,))
    )


def test_noise_arrives_on_the_device_asked_for():
    noise = Noise(5, ["a"], "test").to("meta").select([0]).for_purpose("other")
    assert noise.normal(0, (2, 2)).device.type == "meta"


def test_every_image_needs_a_sample():
    with pytest.raises(ValueError, match="1 samples for 2 images"):
        Noise(0, ["a", "b"], "test", [1])


@pytest.mark.parametrize(("sample", "step"), [(-1, 0), (0, -1), (2**64, 0)])
def test_samples_and_steps_outside_the_counter_are_refused(sample, step):
    with pytest.raises(ValueError, match="must be 0 or more"):
        stream(0, "a", "b", sample, step)
