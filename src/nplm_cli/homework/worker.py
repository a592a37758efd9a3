"""One training in a process of its own: ``python -m nplm_cli.homework.worker RUN``.

Lines of JSON on standard output tell how far it is; when standard input closes (the parent wants
it to stop, or is gone), it stops after its step and leaves a checkpoint.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

# Seconds between two reports of progress.
INTERVAL = 0.5
# A worker of a killed homework needs a moment to leave the run.
LOCK_PATIENCE = 60.0


def main() -> int:
    """Train the run named on the command line; the exit code is that of ``nplm train``."""
    from nplm_cli import events, pipeline
    from nplm_cli.errors import NplmError
    from nplm_cli.locking import exclusive

    for number in (signal.SIGINT, signal.SIGTERM):  # the parent decides
        signal.signal(number, signal.SIG_IGN)
    folder, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
    stopped = threading.Event()
    threading.Thread(target=_wait_for_end, args=(stopped,), daemon=True).start()
    last = 0.0

    def tell(event: events.Event) -> None:
        nonlocal last
        if isinstance(event, events.Progress):
            now = time.monotonic()
            if event.what != "training" or not event.total or now - last < INTERVAL:
                return
            last = now
            _say(stopped, what="progress", share=event.done / event.total, detail=event.detail)
        elif isinstance(event, events.Evaluated):
            _say(stopped, what="evaluated", record=event.record)
        elif event.warning:
            _say(stopped, what="warning", text=event.text)

    try:
        with exclusive(folder, LOCK_PATIENCE):
            if weights_are_lost(folder):
                _say(stopped, what="warning", text="its weights are gone: training it anew")
                (folder / "checkpoint.safetensors").unlink()
        report = pipeline.resume(folder, changes=changes, on_event=tell, interrupted=stopped.is_set)
        _say(stopped, what="done", seconds=report["training"]["seconds"])
        return 0
    except NplmError as error:
        _say(stopped, what="failed", text=str(error), code=error.exit_code)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except MemoryError:
        _say(stopped, what="failed", text="out of memory: use --workers 1 or less text", code=1)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(stopped, what="failed", text=f"{where}{error.strerror or error}", code=1)
        return 1


def weights_are_lost(folder: Path) -> bool:
    """Whether a run's best weights are gone and its checkpoint, a later one, has them no more."""
    from nplm_cli.artifacts import TensorFile
    from nplm_cli.errors import ArtifactError

    if (folder / "model.safetensors").exists():
        return False
    try:
        checkpoint = TensorFile(folder / "checkpoint.safetensors", verify=False)
        progress = json.loads(checkpoint.metadata["progress"])
        return bool(0 < progress["best_step"] < progress["step"])
    except (ArtifactError, KeyError, TypeError, ValueError, RecursionError):
        return False  # the training says what is wrong with it


def _wait_for_end(stopped: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    stopped.set()


def _say(stopped: threading.Event, **record: Any) -> None:
    try:
        print(json.dumps(record), flush=True)
    except BrokenPipeError:
        stopped.set()
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (nobody listens any longer)


if __name__ == "__main__":
    sys.exit(main())
