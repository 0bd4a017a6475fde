import subprocess
import sys

import pytest
import torch

from pipeline.device import BatchSize, in_batches, pick_device, place, precision
from pipeline.errors import UserError


def network():
    """A small real network with every kind of layer that could mix rows."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return place(
            torch.nn.Sequential(
                torch.nn.Conv2d(3, 8, 3, padding=1),
                torch.nn.GroupNorm(2, 8),
                torch.nn.SiLU(),
                torch.nn.Conv2d(8, 8, 3, stride=2),
                torch.nn.BatchNorm2d(8),
                torch.nn.Flatten(),
                torch.nn.Linear(8 * 49, 5),
            ),
            "cpu",
        )


def images(rows, seed=1):
    return torch.rand((rows, 3, 16, 16), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rows", [1, 3, 4, 7])
def test_a_row_does_not_depend_on_its_batch(rows):
    classify = network()
    everything = images(9)
    together = in_batches(classify, everything, batch_size=4)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(rows))[:rows]
    assert torch.allclose(in_batches(classify, everything[order], batch_size=4), together[order], atol=1e-5)


def test_every_batch_has_the_same_shape_and_every_row_comes_once():
    shapes, finished = [], []

    def double(rows, others):
        shapes.append((tuple(rows.shape), tuple(others.shape)))
        return rows * 2, others.sum(1)

    first, second = torch.arange(14.0).reshape(7, 2), torch.arange(21.0).reshape(7, 3)
    doubled, sums = in_batches(double, first, second, batch_size=3, progress=finished.append)
    assert torch.equal(doubled, first * 2) and torch.equal(sums, second.sum(1))
    assert shapes == [((3, 2), (3, 3))] * 3 and finished == [3, 3, 1]


def test_no_rows_give_no_rows_of_the_right_shape():
    logits = in_batches(network(), images(0), batch_size=4)
    assert logits.shape == (0, 5) and logits.dtype == torch.float32


def test_results_carry_no_graph():
    assert not in_batches(network(), images(2), batch_size=2).requires_grad


class SmallCard:
    """A function on a card that holds `capacity` rows."""

    def __init__(self, capacity):
        self.capacity, self.tried = capacity, []

    def __call__(self, rows):
        self.tried.append(len(rows))
        if len(rows) > self.capacity:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return rows + 1


def test_a_full_card_gets_half_the_rows_from_there_on():
    card, rows = SmallCard(3), torch.arange(10.0)
    with pytest.warns(UserWarning, match="[48] rows do not fit into the memory of cpu; going on with [42]"):
        assert torch.equal(in_batches(card, rows, batch_size=8), rows + 1)
    assert card.tried == [8, 4, 2, 2, 2, 2, 2]


def test_calls_that_share_a_batch_size_learn_from_each_other():
    card, size = SmallCard(2), BatchSize(4)
    with pytest.warns(UserWarning):
        in_batches(card, torch.arange(2.0), batch_size=size)
    in_batches(card, torch.arange(2.0), batch_size=size)
    assert card.tried == [4, 2, 2] and size.rows == 2


def test_a_card_that_cannot_hold_one_row_is_told_in_one_sentence():
    with pytest.warns(UserWarning), pytest.raises(UserError, match="one row alone does not fit"):
        in_batches(SmallCard(0), torch.arange(2.0), batch_size=2)


def test_other_errors_are_not_retried():
    def fails(rows):
        raise MemoryError

    with pytest.raises(MemoryError):
        in_batches(fails, torch.arange(4.0), batch_size=4)


def test_a_function_that_loses_rows_is_refused():
    with pytest.raises(ValueError, match="returned 1 rows for a batch of 2"):
        in_batches(lambda rows: rows[:1], torch.arange(2.0), batch_size=2)


def test_tensors_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2, 3 rows"):
        in_batches(lambda one, other: one, torch.zeros(2), torch.zeros(3), batch_size=2)


def test_the_device_is_the_one_asked_for_then_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("COUNTERFACTORY_DEVICE", "nonsense")
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="COUNTERFACTORY_DEVICE is 'nonsense', which is no device; use cpu"):
        pick_device()
    monkeypatch.setenv("COUNTERFACTORY_DEVICE", "cpu")
    assert pick_device() == torch.device("cpu")
    monkeypatch.delenv("COUNTERFACTORY_DEVICE")
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cuda:99", "meta", "xpu"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(UserError, match=f"the device asked for is '{name}'"):
        pick_device(name)


def test_the_cpu_computes_in_float32_and_cards_as_asked():
    assert precision("cpu", "bfloat16") == torch.float32
    assert precision("cuda", "bfloat16") == torch.bfloat16 and precision("cuda") == torch.float32
    with pytest.raises(UserError, match="precision 'bfloat' is not known; use bfloat16"):
        precision("cuda", "bfloat")


def test_less_than_one_row_is_refused():
    with pytest.raises(UserError, match="batch size is 0"):
        in_batches(torch.abs, torch.zeros(1), batch_size=0)


def test_what_computes_nothing_imports_no_torch():
    program = "import sys, pipeline.%s; sys.exit('torch' in sys.modules)"
    modules = ", pipeline.".join(["errors", "noise", "tables", "rows", "fingerprint", "progress", "costs", "files"])
    subprocess.run([sys.executable, "-c", program % modules], check=True)
