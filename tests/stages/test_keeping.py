"""Rows that are kept: made once, found again, told as they come, and never lost with what a job was at."""

import re
import tempfile
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from pipeline.errors import RowFailure, UserError
from pipeline.explain.probes import PURPOSE, probe_noise, uniform_offsets
from pipeline.fingerprint import digest
from pipeline.images import content, image_struct
from pipeline.progress import bar
from pipeline.rows import Key, RowStore
from pipeline.stages import keeping, saliency
from pipeline.stages.common import Job, kept_columns
from pipeline.stages.keeping import keep
from tests.explain.declared import made
from tests.explain.planted import SIDE, conv_classifier
from tests.test_rows import KEYS, compute_batch, expected, open_store


def kept(root, keys, make, stored_at_once=8, batch_size=8, account=None):
    """What a store of that folder keeps of the rows of keys, which are their own keys; what is missing is made."""
    rows = [{"key": key} for key in keys]
    sizes = {"stored_at_once": stored_at_once, "batch_size": batch_size}
    return keep("rows", open_store(root), rows, lambda row: row["key"], make, account or Job(), **sizes)


class Recorder:
    """Makes rows, remembers of which keys, and is killed before a given batch."""

    def __init__(self, killed_before=None):
        self.batches, self.killed_before = [], killed_before

    def __call__(self, batch):
        if len(self.batches) == self.killed_before:
            raise KeyboardInterrupt
        self.batches.append(batch.keys)
        return compute_batch(batch.keys), len(batch.keys)

    @property
    def asked(self):
        return [key for keys in self.batches for key in keys]


@settings(max_examples=15, deadline=None)
@given(
    asked=some.lists(some.lists(some.sampled_from(KEYS), max_size=20), min_size=1, max_size=5),
    sizes=some.lists(some.integers(1, 9), min_size=5, max_size=5),
)
def test_no_row_is_computed_twice_and_all_come_in_the_order_asked_for(asked, sizes):
    with tempfile.TemporaryDirectory() as root:
        recorder, account = Recorder(), Job()
        for keys, size in zip(asked, sizes, strict=False):
            assert kept(root, keys, recorder, size, account=account).equals(expected(keys))
        assert len(set(recorder.asked)) == len(recorder.asked) == account.rows_computed
        assert account.clock.network_evaluations == len(recorder.asked)


@settings(max_examples=15, deadline=None)
@given(
    keys=some.lists(some.sampled_from(KEYS), min_size=1, max_size=30),
    size=some.integers(1, 8),
    killed_before=some.integers(0, 4),
)
def test_after_a_kill_only_the_missing_rows_are_computed(keys, size, killed_before):
    with tempfile.TemporaryDirectory() as root:
        first, second = Recorder(killed_before), Recorder()
        try:
            kept(root, keys, first, size)
        except KeyboardInterrupt:
            assert len(first.batches) == killed_before
        assert kept(root, keys, second, size).equals(expected(keys))
        assert first.asked + second.asked == list(dict.fromkeys(keys))


def test_rows_that_fail_for_good_stay_with_their_reason_and_the_others_are_computed(tmp_path):
    asked = []

    def make(batch):
        asked.append(batch.keys)
        if bad := {place: "no face" for place, key in enumerate(batch.keys) if key.image_id == "image-1"}:
            raise RowFailure(bad)
        return compute_batch(batch.keys), 0

    rows = kept(tmp_path, KEYS[:3], make).to_pylist()
    assert [row["status"] for row in rows] == ["ok", "failed", "ok"]
    assert rows[1] == {"logits": None, "steps": None, "status": "failed", "reason": "no face"}
    assert asked == [KEYS[:3], [KEYS[0], KEYS[2]]]
    assert kept(tmp_path, KEYS[:3], make).to_pylist() == rows and len(asked) == 2, "failed rows are not tried again"


@pytest.mark.parametrize("error", [MemoryError, OSError, KeyError, partial(RowFailure, {})])
def test_other_errors_end_the_work_and_store_nothing_of_their_batch(tmp_path, error):
    def make(batch):
        if KEYS[2] in batch.keys:
            raise error()
        return compute_batch(batch.keys), 0

    with pytest.raises(getattr(error, "func", error)):
        kept(tmp_path, KEYS[:4], make, stored_at_once=2)
    assert open_store(tmp_path).missing(KEYS[:4]) == KEYS[2:4]


class SmallCard:
    """Makes rows with as many at once as the batch says, on a card that holds `capacity`."""

    def __init__(self, capacity):
        self.capacity, self.tried = capacity, []

    def __call__(self, batch):
        self.tried.append(batch.size.rows)
        if batch.size.rows > self.capacity:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute_batch(batch.keys), len(batch.keys)


def test_a_full_card_gets_half_the_rows_from_there_on_and_no_row_fails(tmp_path):
    card, account = SmallCard(3), Job()
    with pytest.warns(UserWarning, match="[48] rows do not fit into the memory of .*; going on with [42]"):
        assert kept(tmp_path, KEYS[:6], card, 4, 8, account).equals(expected(KEYS[:6]))
    assert card.tried == [8, 4, 2, 2] and account.clock.network_evaluations == 6


def test_what_a_full_card_cannot_make_is_no_failed_row(tmp_path):
    with pytest.warns(UserWarning), pytest.raises(UserError, match="one row alone does not fit"):
        kept(tmp_path, KEYS[:2], SmallCard(0), batch_size=2)
    assert open_store(tmp_path).missing(KEYS[:2]) == KEYS[:2]


def shares(output):
    """The rows and the share of the work in each line of a bar that tells one."""
    return [(int(rows), int(share)) for rows, share in re.findall(r"(\d+)/\d+ rows \((\d+)%\)", output)]


def test_a_bar_moves_with_every_step_of_one_long_batch(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(keeping, "bar", partial(bar, every=0.0))
    account, fido = Job(), made("fido", "saliency", {"grid": 4, "masks": 2, "steps": 5, "infill": "mean"})
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    rows = [{"content": content(image), "image": image_struct(image), "explained": 0} for image in pixels]
    keep(
        "saliency fido",
        RowStore(tmp_path, "saliency", "fido", {}, kept_columns("saliency")),
        rows,
        lambda row: Key("a", row["content"]),
        partial(saliency.make_maps, fido, account.place(conv_classifier()), SimpleNamespace(seed=1, fillers={})),
        account,
        stored_at_once=8,
        batch_size=4,
    )
    # Two images side by side, and then the third, for five steps each.
    assert shares(capsys.readouterr().out) == [(0, share) for share in range(10, 101, 10)]


def test_rows_that_were_there_are_told_first_and_then_every_batch(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(keeping, "bar", partial(bar, every=0.0))
    kept(tmp_path, KEYS[:3], Recorder())
    capsys.readouterr()
    kept(tmp_path, KEYS[:8], Recorder(), stored_at_once=2)
    told = re.findall(r"(\d+)/8 rows", capsys.readouterr().out)
    assert list(map(int, told)) == [3, 5, 7, 8, 8]


def make_offsets(asked, batch):
    """Rows that show their noise."""
    asked += batch.keys
    offsets = uniform_offsets(batch.noise(7, PURPOSE), 3)
    return [{"logits": offset.tolist()} for offset in offsets], 0


def test_probes_of_one_image_are_kept_by_their_number_which_is_that_of_their_noise(tmp_path):
    asked = []
    keys = [Key("source", "00ff", sample=number) for number in range(5)]
    kept(tmp_path, keys[:2], partial(make_offsets, asked))
    found = kept(tmp_path, keys, partial(make_offsets, asked))
    assert asked == keys
    of_numbers = uniform_offsets(probe_noise(7, "source", range(5)), 3)
    assert torch.equal(torch.tensor(found["logits"].to_pylist()), of_numbers)


def test_images_of_several_captions_are_kept_apart_and_share_the_noise_of_their_row(tmp_path):
    asked = []
    keys = [Key("row", digest([caption])) for caption in ("a face", "a face with a hat")]
    first, second = kept(tmp_path, keys, partial(make_offsets, asked))["logits"].to_pylist()
    assert asked == keys and first == second
