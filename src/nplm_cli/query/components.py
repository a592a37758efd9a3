"""The models inside a mixture's folder: where they are, and that they are those that were mixed."""

import hashlib
import os
import struct
from pathlib import Path

from nplm_cli.artifacts import MAX_HEADER_BYTES
from nplm_cli.errors import ArtifactError
from nplm_cli.opening import open_regular

# Where the models of a mixture are, numbered from 1.
COMPONENTS = "components"
CURE = "put back what nplm mix wrote, or mix again"


def component_folder(mixture: Path, number: int) -> Path:
    """The folder of a component; raises ArtifactError when it is missing or leads elsewhere."""
    folder = mixture / COMPONENTS / str(number)
    if not folder.is_dir():
        found = "not a directory" if folder.exists() else "no such directory"
        raise ArtifactError(f"{folder}: {found}: {CURE}")
    real = folder.resolve()
    if not real.is_relative_to(mixture.resolve()):
        raise ArtifactError(f"{folder}: a link out of the mixture, to {real}: {CURE}")
    return folder


def fingerprint(folder: Path) -> str:
    """SHA-256 of what tells a model from others: its settings, and its weights' size and header.

    The header holds names, shapes and the checksum of all weights (``artifacts.write_tensors``),
    so that two different models differ here, though the weights themselves are not read. Raises
    ArtifactError when a file is missing.
    """
    digest = hashlib.sha256()
    path = folder / "config.json"
    try:
        with open_regular(path) as file:
            digest.update(hashlib.sha256(file.read()).digest())
        path = folder / "model.safetensors"
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(8)
            length = int.from_bytes(head, "little")
            digest.update(struct.pack("<Q", size) + head)
            digest.update(file.read(min(length, size, MAX_HEADER_BYTES)))
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror or error}: {CURE}") from error
    return digest.hexdigest()


def check_fingerprint(folder: Path, expected: str | None) -> None:
    """Raise ArtifactError unless the model in ``folder`` is the one that was mixed."""
    if expected is not None and fingerprint(folder) != expected:
        raise ArtifactError(
            f"{folder}: not the model that was mixed (config.json or model.safetensors is "
            f"another): {CURE}"
        )
