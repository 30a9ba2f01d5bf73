"""What a piece of work costs: seconds, and memory at its peak."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROCESS = Path("/proc/self")


@dataclass
class Cost:
    """Filled in when the work is done.

    Parameters
    ----------
    seconds : float
        Wall time.
    megabytes : float
        Resident memory at the peak over that at the start; NaN where the system does not tell.
    """

    seconds: float = 0.0
    megabytes: float = float("nan")


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure the work done inside."""
    cost = Cost()
    before = _reset_peak()
    begun = time.perf_counter()
    yield cost
    cost.seconds = time.perf_counter() - begun
    cost.megabytes = max(_kilobytes("VmHWM") - before, 0.0) / 1024


def _reset_peak() -> float:
    """Make the system count the peak from now on; resident kilobytes now."""
    try:
        (PROCESS / "clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed
        return float("nan")
    return _kilobytes("VmRSS")


def _kilobytes(name: str) -> float:
    try:
        lines = (PROCESS / "status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name}:")), float("nan"))
