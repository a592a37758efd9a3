"""Linear regression by least squares, and what one set of predictors adds to another.

With y = X b + e over n rows, p columns in X (the intercept among them) and RSS the sum of squared
residuals:

    b = argmin RSS          se(b_j)^2 = RSS / (n - p) [(X'X)^-1]_jj          t_j = b_j / se(b_j)
    R^2 = 1 - RSS / sum (y - mean y)^2
    ln L = -n/2 (ln(2 pi RSS / n) + 1)                        the likelihood at its maximum

A larger model with q more columns (RSS_1, p_1) beside a smaller one (RSS_0) within it:

    F = ((RSS_0 - RSS_1) / q) / (RSS_1 / (n - p_1))           with q and n - p_1 degrees of freedom
    difference of ln L = n/2 ln(RSS_0 / RSS_1)

p values are those of F, exact where e is normal, independent and of one variance.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nplm_cli.errors import InputError

INTERCEPT = "intercept"
# A column is taken for a sum of others when less than this share of its length stands apart.
DEPENDENT = 1e-9


@dataclass(frozen=True)
class Coefficient:
    """A predictor's coefficient, its standard error, t, and p of the two-sided test."""

    predictor: str
    estimate: float
    standard_error: float
    t: float
    p_value: float


@dataclass(frozen=True)
class Fit:
    """A regression: rows, predictors and intercept, what is left, what is explained."""

    rows: int
    coefficients: list[Coefficient]
    rss: float
    r2: float
    log_likelihood: float
    residuals: np.ndarray

    @property
    def parameters(self) -> int:
        """Columns of X."""
        return len(self.coefficients)


@dataclass(frozen=True)
class Comparison:
    """What a larger model adds to a smaller one within it."""

    delta_log_likelihood: float
    f: float
    df: tuple[int, int]
    p_value: float


def fit(y: np.ndarray, predictors: Mapping[str, np.ndarray]) -> Fit:
    """Regress y (n,) on an intercept and the predictors (each n,), by the QR decomposition.

    Raises InputError for too few rows, for a predictor that others make up (a constant one beside
    the intercept), and for a y that is fitted without any error.
    """
    names = [INTERCEPT, *predictors]
    x = np.column_stack([np.ones(len(y)), *predictors.values()]).astype(np.float64)
    rows, columns = x.shape
    if rows <= columns:
        raise InputError(f"{rows} rows for {columns} coefficients: too few for a regression")
    # Columns of length 1 and about their mean: the figures are the same, their digits safer.
    means = np.concatenate([[0.0], x[:, 1:].mean(axis=0)])
    x = x - means
    lengths = np.linalg.norm(x, axis=0)
    own = np.linalg.norm(x + means, axis=0)
    for j, name in enumerate(names):
        if lengths[j] <= DEPENDENT * own[j]:
            raise InputError(f"{name} is the same in all {rows} rows: nothing to learn from it")
    q, r = np.linalg.qr(x / lengths)
    for j, name in enumerate(names):
        if abs(r[j, j]) < DEPENDENT:
            raise InputError(f"{name} is a sum of the predictors before it: leave one out")
    scaled = np.linalg.solve(r, q.T @ y)
    residuals = y - (x / lengths) @ scaled
    rss = float(residuals @ residuals)
    total = float(((y - y.mean()) ** 2).sum())
    if rss <= 1e-24 * max(total, float(y @ y)):
        raise InputError("the response is fitted without any error: these are no measurements")
    inverse = np.linalg.inv(r)
    slopes = scaled / lengths
    # Back to predictors as they are: the intercept takes their means.
    back = np.eye(columns)
    back[0, 1:] = -means[1:]
    covariance = back @ ((inverse @ inverse.T) / np.outer(lengths, lengths)) @ back.T
    left = rows - columns
    estimates = back @ slopes
    errors = np.sqrt(np.diag(covariance) * rss / left)
    coefficients = []
    for name, estimate, error in zip(names, estimates, errors, strict=True):
        t = float(estimate / error)
        p = f_survival(t * t, 1, left)
        coefficients.append(Coefficient(name, float(estimate), float(error), t, p))
    return Fit(
        rows,
        coefficients,
        rss,
        1 - rss / total,
        -rows / 2 * (math.log(2 * math.pi * rss / rows) + 1),
        residuals,
    )


def compare(smaller: Fit, larger: Fit) -> Comparison:
    """Test what the larger of two nested models adds, on the same rows."""
    added = larger.parameters - smaller.parameters
    left = larger.rows - larger.parameters
    gained = max(0.0, smaller.rss - larger.rss)
    f = gained / added / (larger.rss / left)
    delta = larger.rows / 2 * math.log1p(gained / larger.rss)
    return Comparison(delta, f, (added, left), f_survival(f, added, left))


def correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Pearson's r; None where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    lengths = math.sqrt(float(a @ a) * float(b @ b))
    return max(-1.0, min(1.0, float(a @ b) / lengths)) if lengths else None


def f_survival(f: float, df1: int, df2: int) -> float:
    """P(F > f) of the F distribution: I_x(df2/2, df1/2) with x = df2 / (df2 + df1 f)."""
    if f <= 0:
        return 1.0
    return incomplete_beta(df2 / 2, df1 / 2, df2 / (df2 + df1 * f), df1 * f / (df2 + df1 * f))


def incomplete_beta(a: float, b: float, x: float, rest: float | None = None) -> float:
    """The regularised incomplete beta function I_x(a, b), for 0 <= x <= 1.

    By its continued fraction, evaluated with Lentz's method (Press et al., Numerical Recipes, 6.4).
    ``rest`` is 1 - x, where the caller knows it better than a subtraction does.
    """
    y = 1 - x if rest is None else rest
    if x <= 0 or y <= 0:
        return 0.0 if x <= 0 else 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log_front + a * math.log(x) + b * math.log(y))
    if x < (a + 1) / (a + b + 2):
        return min(1.0, front * _beta_fraction(a, b, x) / a)
    return max(0.0, 1 - front * _beta_fraction(b, a, y) / b)


def _beta_fraction(a: float, b: float, x: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, 10_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + numerator * d
            c = 1 + numerator / c
            d = 1 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value
