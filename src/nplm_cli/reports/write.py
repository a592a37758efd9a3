"""Write a report into a folder."""

from pathlib import Path
from typing import Any

from nplm_cli.artifacts import write_bytes
from nplm_cli.atomic import make_folders
from nplm_cli.bilingual import LANGUAGES, Language
from nplm_cli.errors import ConfigError
from nplm_cli.reports import render


def write_report(folder: Path, results: dict[str, Any], lang: Language) -> list[Path]:
    """Write report.html, report.md and figures/*.svg into ``folder`` and return their paths.

    ``results`` is the object that ``homework.results.gather`` makes. The page needs no other file
    and no network; the Markdown shows the files in figures/. Each file is written atomically, the
    same results give the same bytes. Raises ConfigError for an unknown language and InputError
    when the folder cannot be written to.
    """
    if lang not in LANGUAGES:
        raise ConfigError(f"report language {lang!r}: expected {' or '.join(LANGUAGES)}")
    shown = render.view(results, lang)
    found = {f"figures/{drawing.name}.svg": drawing.svg for drawing in render.drawings(shown)}
    found |= {"report.md": render.markdown_text(shown), "report.html": render.html(shown)}
    make_folders(folder / "figures")
    for name, text in found.items():
        write_bytes(folder / name, text.encode("utf-8"))
    return [folder / name for name in found]
