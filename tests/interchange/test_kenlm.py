"""KenLM itself reads the files and scores alike; skipped where the kenlm module is missing."""

import itertools
import math

import numpy as np
import pytest

from nplm_cli.interchange.arpa import save_arpa
from nplm_cli.interchange.backoff import from_counts
from nplm_cli.interchange.conversion import from_network
from nplm_cli.interchange.pruning import prune
from nplm_cli.ngram import NgramModel

kenlm = pytest.importorskip("kenlm")


@pytest.mark.parametrize("kind", ["counts", "pruned", "network"])
def test_kenlm_scores_alike(network, text, tokens, tmp_path, kind):
    model = from_counts(NgramModel.train(text.ids_N, vocab_size=len(tokens), order=3))
    if kind == "pruned":
        model = prune(model, 1e-3)
    if kind == "network":
        model, _ = from_network(network("lstm"), text, order=3, weight=0.6)
    save_arpa(tmp_path / "m.arpa", model, tokens)
    reader = kenlm.Model(str(tmp_path / "m.arpa"))
    ids = text.ids_N.tolist()
    found = []
    for start, end in itertools.pairwise(text.starts.tolist()):
        words = " ".join(tokens[i] for i in ids[start : end - 1])
        found += [score for score, _, _ in reader.full_scores(words)]
    ours = model.log_probs(text.ids_N) / math.log(10)
    np.testing.assert_allclose(found, ours, rtol=0, atol=1e-5)
