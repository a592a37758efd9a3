"""The report of a homework: one HTML page, the same in Markdown, and the figures.

Needs the extra ``report`` (matplotlib, scikit-learn); both are loaded when first used.
"""

from importlib.util import find_spec

from nplm_cli.errors import ConfigError
from nplm_cli.reports.write import write_report

__all__ = ["require", "write_report"]

NEEDED = {"matplotlib": "matplotlib", "sklearn": "scikit-learn"}


def require() -> None:
    """Check that what draws a report is installed, without loading it. Raises ConfigError."""
    missing = [name for module, name in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"the report needs {' and '.join(missing)}, not installed: "
            f"pip install {' '.join(missing)}"
        )
