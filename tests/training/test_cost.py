import math
from pathlib import Path

import numpy as np
import pytest

import training.evaluation.cost
from training.evaluation.cost import measured


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of memory")
def test_memory_is_that_of_the_peak_and_not_of_what_is_left() -> None:
    with measured() as cost:
        np.ones(10_000_000).sum()  # 80 MB, freed at once
    assert 70 < cost.megabytes < 120
    assert 0 < cost.seconds < 60
    with measured() as next_cost:
        pass
    assert next_cost.megabytes < 10


def test_a_system_that_does_not_tell_leaves_memory_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(training.evaluation.cost, "PROCESS", tmp_path / "missing")
    with measured() as cost:
        pass
    assert math.isnan(cost.megabytes)
    assert cost.seconds >= 0
