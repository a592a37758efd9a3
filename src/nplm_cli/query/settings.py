"""Settings of a training in a file: what ``--config`` replays."""

from pathlib import Path

from nplm_cli.artifacts import check_format, read_json
from nplm_cli.config import SECTIONS, Config
from nplm_cli.errors import ConfigError
from nplm_cli.query.components import COMPONENTS


def recorded_settings(path: Path) -> Config:
    """Settings in the config.json of a run or homework, or in a file of settings alone.

    Raises ConfigError, saying what to give instead, for a directory, a mixture and other files of
    a run; ArtifactError for what is no JSON or of a newer format.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a directory: give a file, as {path / 'config.json'}")
    record = read_json(path)
    if not isinstance(record, dict):
        return Config.from_json(record, str(path))  # which says what was expected
    if "format_version" in record:
        check_format(path, record["format_version"])
    if "mixture" in record:
        example = path.parent / COMPONENTS / "1" / path.name
        raise ConfigError(
            f"{path} is of a mixture, which has no settings of a training: give those of a "
            f"component, as {example}"
        )
    if "settings" in record:
        record = record["settings"]
    elif "format_version" in record or "schema" in record:
        raise ConfigError(
            f"{path}: no settings of a training: give the config.json of a run, or an object with "
            f"any of {', '.join(SECTIONS)}"
        )
    return Config.from_json(record, str(path))
