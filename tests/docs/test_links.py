"""What the documents point to exists: files, sections, commands and their options."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("sample_corpora/*.md")])
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# A command as the documents write it: in a code span or at the beginning of a line of a block.
CODE_SPAN = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"(?:^|[$|;(&]\s*|\s)(?:\S*/)?nplm((?:\s+[^|;#\n]*)?)")
OPTION = re.compile(r"(?<!\S)(--[a-z][a-z0-9-]*|-[a-z])(?![\w-])")


def _documents() -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in DOCUMENTS]


def _anchors(path: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    text = FENCE.sub("", path.read_text("utf-8"))
    headings = re.findall(r"^#+\s+(.*?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _commands(text: str) -> Iterator[str]:
    """The words after ``nplm``, of each command line in code spans and code blocks."""
    blocks = FENCE.findall(text)
    spans = CODE_SPAN.findall(FENCE.sub("", text))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").split("\n")[1:-1]]
    for line in [*lines, *(span for span in spans if span.startswith("nplm "))]:
        without_strings = re.sub(r"\"[^\"]*\"|'[^']*'", "TEXT", line)
        for match in COMMAND.finditer(without_strings):
            yield match[1].strip()


@pytest.mark.parametrize("path", _documents())
def test_relative_links_lead_somewhere(path: Path) -> None:
    text = FENCE.sub("", path.read_text("utf-8"))
    text = CODE_SPAN.sub("", text.replace("[`", "[").replace("`]", "]"))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), f"{path.name}: {target}"
        assert file.is_relative_to(ROOT), f"{path.name}: {target} leaves the repository"
        if anchor and file.suffix == ".md":
            assert anchor in _anchors(file), f"{path.name}: {target}"


@pytest.mark.parametrize("path", _documents())
def test_commands_and_options_exist(path: Path, options: dict[str, set[str]]) -> None:
    for rest in _commands(path.read_text("utf-8")):
        words = rest.split()
        command = words[0] if words else ""
        if command.startswith(("-", "<", "[")):
            command = ""
        elif not command.isascii() or not command.isalpha() or command.isupper():
            continue  # prose in a block, or a placeholder
        assert command in options, f"{path.name}: nplm {rest}"
        for option in OPTION.findall(rest):
            assert option in options[command], f"{path.name}: nplm {rest}"


def test_options_named_in_prose_exist_somewhere(options: dict[str, set[str]]) -> None:
    known = set().union(*options.values())
    for path in DOCUMENTS:
        if path.parent.name == "sample_corpora" or path.name == "CONTRIBUTING.md":
            continue  # options of scripts are named there, too
        for span in CODE_SPAN.findall(FENCE.sub("", path.read_text("utf-8"))):
            if span.startswith("--"):
                for option in OPTION.findall(span.split("=")[0]):
                    assert option in known | {"--"}, f"{path.name}: {span}"


def test_the_tests_above_see_commands() -> None:
    text = "`nplm train x --dim 3`\n\n```\n$ .venv/bin/nplm score R 'a --b' -q | head\n```\n"
    assert sorted(_commands(text)) == ["score R TEXT -q", "train x --dim 3"]
    assert OPTION.findall("train x --dim 3 -k 5 a-b --no-eos") == ["--dim", "-k", "--no-eos"]
