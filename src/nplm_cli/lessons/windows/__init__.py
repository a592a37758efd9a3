"""Feedforward language models over a window of words."""
