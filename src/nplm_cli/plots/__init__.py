"""The lectures' figures, one a file: the numbers of nplm's own code, and what paints them."""
