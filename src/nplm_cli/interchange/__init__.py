"""Models in the files of other programs: back-off n-grams (ARPA), networks (ISI nplm)."""
