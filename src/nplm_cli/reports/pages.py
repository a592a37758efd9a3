"""What HTML pages share: one file each, that loads nothing and shows every word as text."""

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from nplm_cli.reports.words import shown

if TYPE_CHECKING:
    from jinja2 import Environment

# Of texts, and of corpora by the way they are cut into tokens.
HTML_LANGUAGES = {"zh": "zh-CN", "char": "zh-CN", "en": "en"}


def html_environment(package: str) -> "Environment":
    """Templates of a package's folder ``templates``; what is no Markup is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
    )


def source(name: str, package: str = "nplm_cli.reports") -> str:
    """A file of a package's folder ``templates``."""
    return (files(package) / "templates" / name).read_text(encoding="utf-8")


def policy(*scripts: str) -> str:
    """The page may load nothing, and run its own scripts alone: a word of a corpus never runs."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    ]
    allowed = " ".join(hashes or ["'none'"])
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; "
        "form-action 'none'; base-uri 'none'"
    )
