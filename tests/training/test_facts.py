"""What one customer costs: the model's own work, told apart from waiting for the machine."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.base import State
from training.evaluation.facts import cost_metrics

ROWS = pd.DataFrame({"x": [1.0, 2.0, 3.0]})


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        np.sort(np.arange(1_000)[::-1])


class Idle:
    """Waits 20 ms for each customer without doing anything."""

    def state(self) -> State:
        return State({"a": 1}, {"trees.txt": "12345"})

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        assert len(rows) == 1
        time.sleep(0.02)
        return rows


class Busy(Idle):
    """Works 10 ms for each customer, on another thread."""

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        with ThreadPoolExecutor(1) as other:
            other.submit(work, 0.01).result()
        return rows


def cost(model: Any) -> dict[str, float]:
    return cost_metrics(model, ROWS)


def test_waiting_takes_time_but_no_processor_time() -> None:
    found = cost(Idle())
    assert found["model/milliseconds_a_row"] >= 20
    assert found["model/cpu_milliseconds_a_row"] < 10


def test_work_on_any_thread_takes_processor_time() -> None:
    assert cost(Busy())["model/cpu_milliseconds_a_row"] >= 10


def test_size_is_that_of_all_that_is_kept() -> None:
    assert cost(Idle())["model/bytes"] == pytest.approx(len('{"a": 1}') + 5)
