"""Tables of reading experiments: words or sentences, their surprisal, and reading times."""
