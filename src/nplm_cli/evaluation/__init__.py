"""How good a model is: exact likelihoods, the ledger, and whether a difference means anything."""
