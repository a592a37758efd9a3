"""Raw bytes become sentences of tokens, and tokens become ids on disk."""
