"""Settings of ``nplm homework`` that are not those of a single training."""

import re
from dataclasses import dataclass

from nplm_cli.architectures import ARCHITECTURES
from nplm_cli.config.section import Section, option
from nplm_cli.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class HomeworkConfig(Section):
    """Which models are trained and what is asked of their word vectors."""

    archs: str = option(
        "ffn,rnn,lstm", "Architectures to train, with commas between.", metavar="A,B,..."
    )
    seeds: int = option(
        3,
        "Models of each architecture, from --seed upwards: without a second one there is "
        "nothing to tell a difference from chance.",
        low=1,
        high=1000,
    )
    words: str | None = option(
        None, "Words to look at, one a line or with spaces between (else --random).", metavar="FILE"
    )
    random: int = option(
        20, "Words to draw, from frequent and rare ones alike.", low=1, high=10_000
    )
    random_seed: int = option(1, "Seed of --random.", low=0)
    band: str | None = option(
        None,
        "Frequency ranks that --random draws from (101-10000 unless given).",
        metavar="LOW-HIGH",
    )
    all_tokens: bool = option(False, "--random may draw punctuation and digits.", no="plain-words")
    top: int = option(10, "Nearest words of each word.", low=1, high=100)
    dictionary: str | None = option(
        None,
        "Translations, a word of the first and one of the second corpus a line: aligns the "
        "vectors of both.",
        metavar="FILE",
    )
    workers: int | None = option(
        None, "Trainings at a time (as many as there are cores unless given; 1 on a GPU).", low=1
    )

    def __post_init__(self) -> None:
        """Also check the names of the architectures."""
        super().__post_init__()
        names = self.architectures
        known = [name for name, arch in ARCHITECTURES.items() if arch.neural]
        for name in names:
            if name not in known:
                raise ConfigError(
                    f"--archs {name!r}: expected some of {', '.join(known)}"
                    f"{did_you_mean(name, known)}"
                )
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"--archs {self.archs!r}: expected each name once, such as ffn,lstm")
        self.ranks  # noqa: B018  (checks the band)

    @property
    def architectures(self) -> tuple[str, ...]:
        """Names in ``archs``."""
        return tuple(name.strip() for name in self.archs.split(",") if name.strip())

    @property
    def ranks(self) -> tuple[int, int] | None:
        """First and last frequency rank of ``band``."""
        return parse_band(self.band)


def parse_band(text: str | None) -> tuple[int, int] | None:
    """Ranks of ``LOW-HIGH``; raises ConfigError for anything else."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,12})\s*-\s*(\d{1,12})\s*", text)
    if not match:
        raise ConfigError(f"--band {text!r}: expected two ranks such as 100-5000")
    return int(match[1]), int(match[2])
