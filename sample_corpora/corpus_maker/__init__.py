"""Make the sample corpora: a grammar, a lexicon, a sampler and exact sentence probabilities."""
