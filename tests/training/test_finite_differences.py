"""Derivatives by differences, against those that are known."""

import pytest
import torch

from nplm_cli.training.finite_differences import central_differences, relative_errors


def test_the_derivative_of_a_known_function():
    w = torch.tensor([[0.3, -1.2], [2.0, 0.0]], dtype=torch.float64)
    before = w.clone()
    found = central_differences(lambda: (w.sin() * w).sum(), w)
    expected = (before.cos() * before + before.sin()).flatten()
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)
    assert torch.equal(w, before)


def test_some_entries_alone():
    w = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    found = central_differences(lambda: (w**3).sum(), w, torch.tensor([2, 0]))
    assert found.tolist() == pytest.approx([27.0, 3.0], abs=1e-6)


def test_relative_errors_have_a_floor():
    a = torch.tensor([1.0, 0.0, 1e-12], dtype=torch.float64)
    b = torch.tensor([1.1, 0.0, -1e-12], dtype=torch.float64)
    assert relative_errors(a, b).tolist() == pytest.approx([0.1 / 1.1, 0.0, 2e-4])
