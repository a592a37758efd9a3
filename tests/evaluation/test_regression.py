"""Least squares and its tests, by hand, by the normal equations, and against tabulated values."""

import math

import numpy as np
import pytest

from nplm_cli.errors import InputError
from nplm_cli.evaluation.regression import (
    compare,
    correlation,
    f_survival,
    fit,
    incomplete_beta,
)


def test_a_line_through_five_points():
    """x = 1 ... 5, y = 2 4 5 4 5.

    Sxx = 10, Sxy = 6, Syy = 6: slope 0.6, intercept 4 - 0.6 * 3 = 2.2, RSS = 6 - 36/10 = 2.4,
    R^2 = 0.6, s^2 = 2.4/3 = 0.8, se of the slope sqrt(0.08), of the intercept
    sqrt(0.8 (1/5 + 9/10)); t = 2.1213, p = 0.1240 with 3 degrees of freedom.
    """
    x, y = np.arange(1.0, 6), np.array([2.0, 4, 5, 4, 5])
    own = fit(y, {"x": x})
    intercept, slope = own.coefficients
    assert (intercept.predictor, slope.predictor) == ("intercept", "x")
    assert (intercept.estimate, slope.estimate) == pytest.approx((2.2, 0.6), abs=1e-12)
    assert slope.standard_error == pytest.approx(math.sqrt(0.08), abs=1e-12)
    assert intercept.standard_error == pytest.approx(math.sqrt(0.88), abs=1e-12)
    assert slope.t == pytest.approx(0.6 / math.sqrt(0.08))
    assert slope.p_value == pytest.approx(0.12402706, abs=1e-7)
    assert (own.rss, own.r2) == pytest.approx((2.4, 0.6), abs=1e-12)
    assert own.log_likelihood == pytest.approx(-2.5 * (math.log(2 * math.pi * 0.48) + 1))
    assert own.parameters == 2


def test_what_a_predictor_adds_to_the_mean():
    """F of one predictor is t^2; 2.4 of 6 remain: F = 3.6 / 0.8 = 4.5, ln L grows by 5/2 ln 2.5."""
    x, y = np.arange(1.0, 6), np.array([2.0, 4, 5, 4, 5])
    found = compare(fit(y, {}), fit(y, {"x": x}))
    assert found.f == pytest.approx(4.5)
    assert found.df == (1, 3)
    assert found.p_value == pytest.approx(fit(y, {"x": x}).coefficients[1].p_value)
    assert found.delta_log_likelihood == pytest.approx(2.5 * math.log(6 / 2.4))


def test_against_the_normal_equations():
    random = np.random.default_rng(3)
    columns = {"a": random.normal(500, 1, 60), "b": random.random(60), "c": random.random(60)}
    columns["c"] += 0.9 * columns["b"]
    y = 3 + 0.1 * columns["a"] - 2 * columns["c"] + random.normal(0, 0.3, 60)
    own = fit(y, columns)
    x = np.column_stack([np.ones(60), *columns.values()])
    b = np.linalg.solve(x.T @ x, x.T @ y)
    rss = float(((y - x @ b) ** 2).sum())
    errors = np.sqrt(np.diag(np.linalg.inv(x.T @ x)) * rss / 56)
    assert [c.estimate for c in own.coefficients] == pytest.approx(b.tolist(), rel=1e-6)
    assert [c.standard_error for c in own.coefficients] == pytest.approx(errors.tolist(), rel=1e-6)
    assert own.rss == pytest.approx(rss)
    assert own.residuals.tolist() == pytest.approx((y - x @ b).tolist(), abs=1e-8)
    smaller = fit(y, {"a": columns["a"]})
    found = compare(smaller, own)
    assert found.df == (2, 56)
    assert found.f == pytest.approx((smaller.rss - rss) / 2 / (rss / 56))
    assert found.delta_log_likelihood == pytest.approx(
        own.log_likelihood - smaller.log_likelihood, abs=1e-9
    )


@pytest.mark.parametrize(
    ("f", "df1", "df2", "p"),
    [
        # Tables of the F distribution: upper 5 % and 1 % points.
        (4.964603, 1, 10, 0.05),
        (10.04429, 1, 10, 0.01),
        (3.325835, 5, 10, 0.05),
        (2.866081, 4, 20, 0.05),
        (4.430690, 4, 20, 0.01),
        (3.841459, 1, 10**9, 0.05),
        (0.0, 3, 7, 1.0),
    ],
)
def test_tabulated_points_of_f(f, df1, df2, p):
    assert f_survival(f, df1, df2) == pytest.approx(p, rel=2e-6)


def test_the_beta_function_in_closed_form():
    """I_x(1, b) = 1 - (1 - x)^b; I_x(a, 1) = x^a; I_x(a, b) = 1 - I_{1-x}(b, a)."""
    for x in (0.0, 1e-8, 0.1, 0.5, 0.9, 0.999, 1.0):
        for a in (0.5, 1.0, 3.0, 40.0):
            assert incomplete_beta(1.0, a, x) == pytest.approx(1 - (1 - x) ** a, abs=1e-12)
            assert incomplete_beta(a, 1.0, x) == pytest.approx(x**a, abs=1e-12)
            assert incomplete_beta(a, 2.5, x) == pytest.approx(
                1 - incomplete_beta(2.5, a, 1 - x), abs=1e-12
            )


def test_against_scipy():
    stats = pytest.importorskip("scipy.stats")
    for df2 in (3, 50, 4000):
        for df1 in (1, 2, 7):
            for f in (0.01, 0.7, 1.0, 3.3, 40.0, 300.0):
                expected = float(stats.f.sf(f, df1, df2))
                assert f_survival(f, df1, df2) == pytest.approx(expected, rel=1e-8, abs=1e-290)


def test_correlation():
    x = np.array([1.0, 2, 3, 4])
    assert correlation(x, 2 * x + 1) == 1.0
    assert correlation(x, -x) == -1.0
    assert correlation(x, np.array([1.0, 3, 2, 4])) == pytest.approx(0.8)
    assert correlation(x, np.ones(4)) is None


def test_what_cannot_be_fitted():
    x, y = np.arange(6.0), np.array([1.0, 0, 2, 1, 0, 3])
    for predictors, why in (
        ({"x": x, "z": np.full(6, 0.1)}, "z is the same in all 6 rows"),
        ({"x": x, "z": 3 - 2 * x}, "z is a sum"),
        ({str(i): np.random.default_rng(i).random(6) for i in range(5)}, "too few"),
    ):
        with pytest.raises(InputError, match=why):
            fit(y, predictors)
    with pytest.raises(InputError, match="without any error"):
        fit(2 * x, {"x": x})
