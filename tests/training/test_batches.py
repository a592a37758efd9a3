"""Batches: every prediction once, the right contents, an order that the seed decides."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nplm_cli.config import ModelConfig
from nplm_cli.corpus.batches import (
    MAX_TOKENS,
    TrainingBatches,
    scoring_batches,
    sentence_batch,
)
from nplm_cli.corpus.shards import Part, every_second
from nplm_cli.corpus.vocabulary import EOS_ID
from nplm_cli.evaluation.evaluator import evaluate
from nplm_cli.models import build

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
        assert piece.fresh_B.shape == (len(piece.ids_BT),)
        assert piece.fresh_B.dtype == bool
    assert flat[0].fresh_B.all()
    if policy == "sentence":
        assert all(piece.fresh_B.all() for piece in flat)


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
        if policy == "sentence":
            assert (piece.ids_BT[:, 0] == EOS_ID).all()
        else:
            carried = real[:, 0] & ~piece.fresh_B
            if carried.any():
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
                assert np.array_equal(x.fresh_B, y.fresh_B)


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


def test_the_order_of_lengths_is_shuffled_and_another_in_every_epoch(random_part):
    part = random_part(400, longest=40)
    batches = TrainingBatches(part, "sentence", 8, 5, 1)
    orders = []
    for number in range(3):
        widths = [step[0].targets_BT.shape[1] for step in batches.epoch(number)]
        # Of neighbours in a shuffled order about half go up and half go down.
        ups = np.count_nonzero(np.diff(widths) > 0) / (len(widths) - 1)
        assert 0.25 < ups < 0.75
        orders.append(widths)
        # Nor do the sentences of a batch stand as in the text or in the epoch before.
        firsts = contents(batches.epoch(number))
        assert firsts != contents(batches.epoch(number + 1))
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize("batch", [0, 64])
def test_a_very_long_sentence_among_short_ones(make_part, batch):
    """Padding stays within MAX_TOKENS; only a sentence alone in its piece may be longer."""
    long = list(range(2, 20_002))
    part = make_part([[5] * (n % 7) for n in range(30)] + [long] + [[6, 7]] * 33)
    steps = epoch(part, "sentence", batch=batch)
    assert len(steps) == 1
    flat = steps[0]
    assert len(flat) > 1
    for piece in flat:
        assert piece.ids_BT.size <= MAX_TOKENS or len(piece.ids_BT) == 1
        assert piece.fresh_B.all()
    assert sum(len(piece.ids_BT) for piece in flat) == part.sentences
    assert pairs(flat) == true_pairs(part)
    # Rows of 1,000 tokens: as many in a piece as fit.
    part = make_part([[5] * 999] * 64)
    [step] = epoch(part, "sentence", batch=64)
    assert [len(piece.ids_BT) for piece in step] == [16, 16, 16, 16]


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
    assert first.fresh_B.tolist() == [True, True]
    assert second.fresh_B.tolist() == [False, False]


def test_strips_of_a_stream_of_two_files(make_part):
    """A strip that reaches a new file ends its segment there; the other one is masked then."""
    part = make_part([[2, 3]], [[4, 5, 6]])
    first, second, third = (step[0] for step in epoch(part, "stream", batch=2, bptt=2))
    assert first.ids_BT.tolist() == [[1, 2], [4, 5]]
    assert first.targets_BT.tolist() == [[2, 3], [5, 6]]
    assert first.fresh_B.tolist() == [True, True]
    assert second.ids_BT.tolist() == [[3], [6]]
    assert second.targets_BT.tolist() == [[1], [1]]
    assert second.fresh_B.tolist() == [False, False]
    assert third.ids_BT.tolist()[0] == [1]
    assert third.targets_BT.tolist() == [[4], [-1]]
    assert third.fresh_B.tolist() == [True, False]


@given(files=lengths, batch=batch_sizes, bptt=bptts)
@settings(max_examples=150, deadline=None)
def test_a_row_of_a_stream_never_reads_over_a_file_start(files, batch, bptt):
    """What a row has read since it was fresh is its file, from the strip's start on, no more."""
    sizes = [[n + 1 for n in file] for file in files]
    starts = np.concatenate([[0], np.cumsum([n for file in sizes for n in file])])
    file_starts = np.concatenate([[0], np.cumsum([sum(file) for file in sizes])])[:-1]
    # Every position has an id of its own, </s> too: position p is id p + 2, before it stands 1.
    part = Part(np.arange(2, starts[-1] + 2), starts, file_starts, 0)
    rows = max(1, min(batch or 64, part.predictions // 2))
    strip = -(-part.predictions // rows)
    read, seen = {}, []
    for piece in itertools.chain(*epoch(part, "stream", batch, bptt)):
        for r, (ids, targets) in enumerate(zip(piece.ids_BT, piece.targets_BT, strict=True)):
            if piece.fresh_B[r]:
                read[r] = []
            for id_, target in zip(ids.tolist(), targets.tolist(), strict=True):
                read[r].append(id_)
                if target < 0:
                    continue
                position = target - 2
                assert r == position // strip
                begin = max(r * strip, *file_starts[file_starts <= position].tolist())
                assert read[r] == list(range(begin + 1, position + 2))
                seen.append(position)
    assert sorted(seen) == list(range(part.predictions))


def stream_nll(model, part, batch, bptt):
    """Nats of each position as a training reads a stream: strips, and the state carried."""
    twin = Part(np.arange(2, part.predictions + 2), part.starts, part.file_starts, 0)
    steps = zip(epoch(part, "stream", batch, bptt), epoch(twin, "stream", batch, bptt), strict=True)
    nll_N, state = np.full(part.predictions, np.nan), None
    for piece, places in ((a, b) for one, two in steps for a, b in zip(one, two, strict=True)):
        state = model.carried_state(state, torch.from_numpy(piece.fresh_B))
        hidden, state = model(torch.from_numpy(piece.ids_BT), state)
        log_p = model.logits(hidden).double().log_softmax(-1).numpy()
        for r, t in zip(*np.nonzero(piece.targets_BT >= 0), strict=True):
            nll_N[places.targets_BT[r, t] - 2] = -log_p[r, t, piece.targets_BT[r, t]]
    return nll_N


@pytest.mark.parametrize("order", [2, 3, 6])
@pytest.mark.parametrize(("batch", "bptt"), [(1, 1), (1, 4), (3, 2), (7, 5), (0, 3)])
def test_a_stream_is_trained_as_it_is_scored(random_part, order, batch, bptt):
    """But for the first words of a strip, whose window reaches back over its start."""
    part = random_part(40, 12, files=5)
    model = build(ModelConfig(order=order, dim=4, hidden=5), 12).eval()
    model.init_weights(torch.Generator().manual_seed(2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
        trained = stream_nll(model, part, batch, bptt)
    scored = evaluate(model, part, "stream")
    strip = -(-part.predictions // (batch or 64))
    position = np.arange(part.predictions)
    begin = position // strip * strip
    file = part.file_starts[np.searchsorted(part.file_starts, position, "right") - 1]
    same = (position - begin >= order - 2) | (file >= begin)
    assert np.isfinite(trained).all()
    np.testing.assert_allclose(trained[same], scored[same], atol=1e-5)
    if batch == 1:
        assert same.all()
        assert trained.sum() == pytest.approx(scored.sum(), rel=1e-6)
    elif order == 6:
        assert abs(trained[~same] - scored[~same]).max() > 1e-3


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
        if policy == "sentence":
            assert batch.fresh_B.tolist() == [True] * len(batch.ids_BT)
        else:
            assert batch.fresh_B.tolist() == [int(positions[0]) in bounds]
        assert batch.ids_BT.size <= max_tokens or len(batch.ids_BT) == 1
    assert (seen == 1).all()


def test_little_of_a_batch_of_sentences_is_padding(make_part):
    part = numbered(make_part, [[n % 60 for n in range(1, 1500)]])
    batches = [batch for batch, _ in scoring_batches(part, "sentence", 8192)]
    assert sum((batch.targets_BT >= 0).sum() for batch in batches) == part.predictions
    for batch in batches[:-1]:
        assert len(batch.ids_BT) >= 32  # as many as products need
        if len(batch.ids_BT) > 32:
            assert (batch.targets_BT >= 0).sum() >= 0.95 * batch.ids_BT.size


def test_every_second_sentence(make_part):
    part = make_part([[2, 3], [4], []], [[5, 6, 7], [8]])
    even, odd = every_second(part, 0), every_second(part, 1)
    e = EOS_ID
    assert even.ids_N.tolist() == [2, 3, e, e, 8, e]
    assert even.starts.tolist() == [0, 3, 4, 6]
    assert odd.ids_N.tolist() == [4, e, 5, 6, 7, e]
    assert odd.starts.tolist() == [0, 2, 6]
    assert even.file_starts.tolist() == odd.file_starts.tolist() == [0]
    alone = every_second(make_part([[2]]), 1)
    assert (alone.predictions, alone.sentences, alone.file_starts.tolist()) == (0, 0, [])
