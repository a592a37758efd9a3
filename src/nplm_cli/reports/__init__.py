"""The report of a homework: one HTML page, the same in Markdown, and the figures.

Needs the extra ``report`` (matplotlib, scikit-learn); both are loaded when first used.
"""

from collections.abc import Iterable
from importlib.util import find_spec

from nplm_cli.errors import ConfigError
from nplm_cli.reports.write import write_report

__all__ = ["require", "write_report"]

NEEDED = {"matplotlib": "matplotlib", "sklearn": "scikit-learn"}


def require(what: str = "the report", modules: Iterable[str] = tuple(NEEDED)) -> None:
    """Check that what draws ``what`` is installed, without loading it. Raises ConfigError."""
    missing = [NEEDED[module] for module in modules if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"{what} needs {' and '.join(missing)}, not installed: pip install {' '.join(missing)}"
        )
