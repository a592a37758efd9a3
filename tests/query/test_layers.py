"""Activations of the numpy twins."""

import numpy as np
import pytest

from nplm_cli.query.layers import ACTIVATIONS


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_of_huge_numbers_is_silent(dtype):
    """1e20 has no cube in float32; gelu is the number itself there and 0 below."""
    z = np.array([1e20, -1e20, 3e38, -3e38, 0], dtype=dtype)
    found = ACTIVATIONS["gelu"](z)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.maximum(z, 0))
