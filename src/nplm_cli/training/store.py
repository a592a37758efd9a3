"""Where a training leaves its files."""

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nplm_cli.artifacts import read_json_lines, write_bytes


@dataclass(frozen=True)
class RunFiles:
    """Paths of a training in its run directory, and the record of its evaluations."""

    folder: Path

    @property
    def weights(self) -> Path:
        """Best weights."""
        return self.folder / "model.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Last full state."""
        return self.folder / "checkpoint.safetensors"

    @property
    def metrics(self) -> Path:
        """One record an evaluation."""
        return self.folder / "metrics.jsonl"

    def add_metrics(self, record: dict[str, Any]) -> None:
        """Append the record of an evaluation, on the disk before the checkpoint that follows it.

        An OSError names the file and leaves it as it was.
        """
        size = self.metrics.stat().st_size if self.metrics.exists() else None
        try:
            with open(self.metrics, "ab") as file:
                file.write(json.dumps(record).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self.metrics.unlink() if size is None else os.truncate(self.metrics, size)
            if error.filename is None:  # a full disk says nothing of the file
                error.filename = str(self.metrics)
            raise

    def keep_metrics_up_to(self, step: int) -> None:
        """Drop records of evaluations that a resumed training will repeat."""
        if not self.metrics.exists():
            return
        kept = [
            line + "\n"
            for line, record in read_json_lines(self.metrics)
            if type(record.get("step")) is int and record["step"] <= step
        ]
        write_bytes(self.metrics, "".join(kept).encode())
