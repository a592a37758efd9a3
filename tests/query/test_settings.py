"""Which files ``--config`` replays, and what is said of the others."""

import json

import pytest

from nplm_cli.config import Config
from nplm_cli.errors import ArtifactError, ConfigError
from nplm_cli.query.settings import recorded_settings

SETTINGS = Config().replace(dim=7, seed=3).to_json()


@pytest.fixture
def write(tmp_path):
    def write(record):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(record), "utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "record",
    [
        SETTINGS,
        {"model": {"dim": 7}, "training": {"seed": 3}},
        {"format_version": 1, "settings": SETTINGS, "data": {}},
        {"format_version": 1, "settings": SETTINGS, "homework": {}},
    ],
)
def test_settings(write, record):
    config = recorded_settings(write(record))
    assert (config.model.dim, config.training.seed) == (7, 3)


@pytest.mark.parametrize(
    ("record", "error", "parts"),
    [
        (
            {"format_version": 1, "mixture": {}},
            ConfigError,
            ["config.json is of a mixture", "components/1/config.json"],
        ),
        ({"schema": 1, "training": {}}, ConfigError, ["no settings of a training", "config.json"]),
        ({"format_version": 1, "lang": "zh"}, ConfigError, ["no settings of a training", "model"]),
        ({"format_version": 2, "settings": SETTINGS}, ArtifactError, ["upgrade nplm"]),
        ({"modle": {}}, ConfigError, ["unknown key 'modle'", "'model'"]),
        ([], ConfigError, ["expected an object"]),
        ({"settings": 3}, ConfigError, ["expected an object"]),
    ],
)
def test_other_files(write, record, error, parts):
    path = write(record)
    with pytest.raises(error) as caught:
        recorded_settings(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)


def test_a_directory(write):
    path = write(SETTINGS)
    with pytest.raises(ConfigError, match=r"is a directory: give a file, as .*config\.json"):
        recorded_settings(path.parent)
