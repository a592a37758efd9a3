"""The four inputs of two truth values, and what is asked of them."""

INPUTS = ((0, 0), (0, 1), (1, 0), (1, 1))
AND = (0, 0, 0, 1)
XOR = (0, 1, 1, 0)
