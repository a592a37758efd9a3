"""docs/formats.md names what the files hold."""

import dataclasses
import re
from pathlib import Path

from nplm_cli.training.progress import Progress

FORMATS = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")


def test_the_progress_of_a_checkpoint():
    [listed] = re.findall(r"Metadata `progress` \(JSON\): (.*?)\. `nplm train", FORMATS, re.DOTALL)
    values = {"null", "length", "budget", "converged"}  # of ``finished``
    named = [name for name in re.findall(r"`(\w+)`", listed) if name not in values]
    assert named == [field.name for field in dataclasses.fields(Progress)]
