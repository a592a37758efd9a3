"""N-best lists of other programs: read, scored by a model, written back, their weight tuned."""
