"""Batches: every prediction once, the right contents, an order that the seed decides."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.corpus.batches import TrainingBatches, scoring_batches, sentence_batch
from nplm_cli.corpus.vocabulary import EOS_ID

POLICIES = ["sentence", "stream"]

# Words are numbered through, so that each prediction can be told from every other.
lengths = st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=12), min_size=1, max_size=3)
batch_sizes = st.sampled_from([0, 1, 2, 3, 5, 32, 1000])
bptts = st.sampled_from([1, 2, 3, 7, 32, 1000])
policies = st.sampled_from(POLICIES)


def numbered(make_part, files):
    counter = itertools.count(2)
    return make_part(*([[next(counter) for _ in range(n)] for n in file] for file in files))


def true_pairs(part):
    """(word before, word) of every prediction; before a sentence stands ``</s>``."""
    ids = part.ids_N.astype(int).tolist()
    return Counter(zip([EOS_ID, *ids[:-1]], ids, strict=True))


def pairs(batches):
    found = Counter()
    for batch in batches:
        for read, target in zip(batch.ids_BT, batch.targets_BT, strict=True):
            found.update((int(r), int(t)) for r, t in zip(read, target, strict=True) if t >= 0)
    return found


def epoch(part, policy, batch=4, bptt=5, seed=1, number=0):
    return list(TrainingBatches(part, policy, batch, bptt, seed).epoch(number))


@given(files=lengths, policy=policies, batch=batch_sizes, bptt=bptts, number=st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_every_prediction_once_in_every_epoch(make_part, files, policy, batch, bptt, number):
    part = numbered(make_part, files)
    batches = TrainingBatches(part, policy, batch, bptt, 3)
    steps = list(batches.epoch(number))
    assert len(steps) == batches.steps_per_epoch
    flat = [piece for step in steps for piece in step]
    assert pairs(flat) == true_pairs(part)
    assert sum(piece.predictions for piece in flat) == part.predictions
    for piece in flat:
        assert piece.predictions > 0
        assert piece.ids_BT.shape == piece.targets_BT.shape
        assert piece.ids_BT.dtype == piece.targets_BT.dtype == np.int64
        assert piece.ids_BT.min() >= 0
        if batch:
            assert len(piece.ids_BT) <= batch
        if policy == "stream":
            assert piece.ids_BT.shape[1] <= bptt
    assert flat[0].fresh
    if policy == "sentence":
        assert all(piece.fresh for piece in flat)
    else:
        assert [piece.fresh for piece in flat[1:]] == [False] * (len(flat) - 1)


@given(files=lengths, policy=policies, batch=batch_sizes, bptt=bptts)
@settings(max_examples=50, deadline=None)
def test_targets_are_what_is_read_next(make_part, files, policy, batch, bptt):
    """Within a row, and over the pieces of a stream, ids are the targets shifted by one."""
    part = numbered(make_part, files)
    flat = [piece for step in epoch(part, policy, batch, bptt) for piece in step]
    last = None
    for piece in flat:
        real = piece.targets_BT >= 0
        assert (np.diff(real.astype(int), axis=1) <= 0).all()  # a row is masked at its end only
        inner = real[:, 1:]
        assert np.array_equal(piece.ids_BT[:, 1:][inner], piece.targets_BT[:, :-1][inner])
        if piece.fresh:
            if policy == "sentence":
                assert (piece.ids_BT[:, 0] == EOS_ID).all()
        else:
            carried = real[:, 0]
            assert np.array_equal(piece.ids_BT[carried, 0], last[carried])
        last = piece.targets_BT[:, -1]


@given(files=lengths, policy=policies, batch=batch_sizes, bptt=bptts, seed=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_skipping_is_the_rest_of_the_epoch(make_part, files, policy, batch, bptt, seed):
    part = numbered(make_part, files)
    batches = TrainingBatches(part, policy, batch, bptt, seed)
    whole = list(batches.epoch(1))
    for skip in {0, 1, len(whole) // 2, len(whole)}:
        rest = list(batches.epoch(1, skip))
        assert len(rest) == len(whole) - skip
        for a, b in zip(rest, whole[skip:], strict=True):
            for x, y in zip(a, b, strict=True):
                assert np.array_equal(x.ids_BT, y.ids_BT)
                assert np.array_equal(x.targets_BT, y.targets_BT)
                assert x.fresh is y.fresh


def contents(steps):
    return [batch.targets_BT.tolist() for step in steps for batch in step]


def test_order_differs_by_epoch_and_seed_and_is_the_same_for_the_same(random_part):
    part = random_part(60)
    assert contents(epoch(part, "sentence")) == contents(epoch(part, "sentence"))
    assert contents(epoch(part, "sentence")) != contents(epoch(part, "sentence", number=1))
    assert contents(epoch(part, "sentence")) != contents(epoch(part, "sentence", seed=2))


def test_a_stream_keeps_its_order(random_part):
    part = random_part(60)
    assert contents(epoch(part, "stream")) == contents(epoch(part, "stream", number=1, seed=2))


def test_global_random_numbers_are_not_touched(random_part):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    epoch(random_part(30), "sentence")
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_rows_of_a_batch_are_of_like_length(random_part):
    """Little of what is read is padding, though the lengths run from 1 to 40."""
    part = random_part(2000, longest=40)
    batches = [step[0] for step in epoch(part, "sentence", batch=16)]
    cells = sum(batch.targets_BT.size for batch in batches)
    assert part.predictions / cells > 0.95
    widths = [batch.targets_BT.shape[1] for batch in batches]
    assert widths != sorted(widths)  # and yet not from short to long


@pytest.mark.parametrize("policy", POLICIES)
def test_a_full_batch_is_one_step(random_part, policy):
    part = random_part(200)
    [step] = epoch(part, policy, batch=0)
    assert len(step) > 1
    assert sum(batch.predictions for batch in step) == part.predictions


def test_a_single_sample_is_one_sentence(make_part):
    part = make_part([[2, 3], [4], []])
    steps = epoch(part, "sentence", batch=1)
    assert sorted(contents(steps)) == [[[1]], [[2, 3, 1]], [[4, 1]]]


def test_strips_of_a_stream(make_part):
    part = make_part([[2, 3], [4, 5, 6]])
    first, second = (step[0] for step in epoch(part, "stream", batch=2, bptt=3))
    assert first.ids_BT.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert first.targets_BT.tolist() == [[2, 3, 1], [5, 6, 1]]
    assert second.ids_BT.tolist()[0] == [1]
    assert second.targets_BT.tolist() == [[4], [-1]]
    assert (first.fresh, second.fresh) == (True, False)


def test_a_sentence_batch(make_part):
    part = make_part([[2, 3, 4], [], [5]])
    batch = sentence_batch(part, np.array([2, 0, 1]))
    assert batch.ids_BT.tolist() == [[1, 5, 1, 1], [1, 2, 3, 4], [1, 1, 1, 1]]
    assert batch.targets_BT.tolist() == [[5, 1, -1, -1], [2, 3, 4, 1], [1, -1, -1, -1]]


@given(files=lengths, policy=policies, max_tokens=st.sampled_from([1, 2, 3, 10, 16_384]))
@settings(max_examples=100, deadline=None)
def test_scoring_covers_every_position_once(make_part, files, policy, max_tokens):
    part = numbered(make_part, files)
    seen = np.zeros(part.predictions, int)
    bounds = set(part.sequence_starts(policy).tolist())
    for batch, positions in scoring_batches(part, policy, max_tokens):
        real = batch.targets_BT >= 0
        seen[positions] += 1
        assert np.array_equal(batch.targets_BT[real], part.ids_N[positions])
        before = np.where(
            [p in bounds for p in positions.tolist()], EOS_ID, part.ids_N[positions - 1]
        )
        assert np.array_equal(batch.ids_BT[real], before)
        assert batch.fresh or policy == "stream"
        if policy == "stream":
            assert batch.fresh == (int(positions[0]) in bounds)
        assert batch.ids_BT.size <= max_tokens or len(batch.ids_BT) == 1
    assert (seen == 1).all()
