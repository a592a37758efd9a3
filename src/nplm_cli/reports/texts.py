"""What the report says, in Chinese and English; the strings stand in ``templates/texts.*.toml``."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from nplm_cli.bilingual import Language


@cache
def load(lang: Language) -> dict[str, str]:
    """All strings of a language by key; a key of a table reads ``table.key``."""
    path = files("nplm_cli.reports") / "templates" / f"texts.{lang}.toml"
    found: dict[str, str] = {}

    def gather(prefix: str, value: dict[str, Any]) -> None:
        for key, inner in value.items():
            if isinstance(inner, dict):
                gather(f"{prefix}{key}.", inner)
            else:
                found[prefix + key] = inner

    gather("", tomllib.loads(path.read_text(encoding="utf-8")))
    return found


class Texts:
    """The strings of one language: ``texts("key", name=value)`` fills the placeholders in."""

    def __init__(self, lang: Language):
        self.lang = lang
        self.strings = load(lang)

    def __call__(self, key: str, **values: object) -> str:
        """The string of a key. Raises KeyError for an unknown key or a missing value."""
        return self.strings[key].format(**values)

    def has(self, key: str) -> bool:
        """Whether there is such a string: for values of settings, which may be new."""
        return key in self.strings

    def named(self, prefix: str, value: object) -> str:
        """The name of a setting's value, or the value itself where it has no name."""
        key = f"{prefix}.{value}"
        return self.strings.get(key, str(value))

    def listed(self, parts: list[str]) -> str:
        """Parts in a row: with commas, or the Chinese 、."""
        return ("、" if self.lang == "zh" else ", ").join(parts)

    def joined(self, sentences: list[str]) -> str:
        """Sentences one after the other: no space between Chinese ones."""
        return ("" if self.lang == "zh" else " ").join(sentences)
