"""Words, counts, and how many words to keep."""
