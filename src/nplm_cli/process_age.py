"""How long this process has been running: what a time budget has to count from."""

import os
import time
from pathlib import Path


def process_age(stat: Path = Path("/proc/self/stat")) -> float:
    """Seconds since the process began, waits for the disk that programs are read from included.

    Where the system does not say (``stat``, as in proc(5)), the processor's time stands for them.
    """
    busy = time.process_time()
    try:
        # The name in brackets may contain blanks; the 22nd field is the start in clock ticks.
        ticks = int(stat.read_text().rpartition(")")[2].split()[22 - 3])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return busy
    # Some containers do not tell when a process began; starting takes no minutes.
    return age if busy <= age < 600 else busy
