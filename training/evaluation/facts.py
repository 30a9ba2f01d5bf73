"""What is written down of a run beside how good it is: rows, size, speed, and the holdout to measure again."""

import json
import time

import numpy as np
import pandas as pd

from models.base import Model
from training.rows.splits import Split
from training.task import Measured, Prepared

OUTCOMES = (
    "churned", "event", "order_days", "order_value", "frequency", "T_days",
    "renewals", "due_periods", "paid_periods", "paid_value", "is_subscribed",
)  # fmt: skip
"""What of a holdout's rows is written down beside their losses."""


def cost_metrics(model: Model, rows: pd.DataFrame) -> dict[str, float]:
    """Size of the model as kept, and what one customer takes: the median of 20 tries.

    The processor's time is the model's own; the time that passes is longer the more else the machine has to do.
    """
    state = model.state()
    size = len(json.dumps(state.parameters)) + sum(map(len, state.texts.values()))
    passed, worked = [], []
    for i in range(20):
        row = rows.iloc[[i % len(rows)]].reset_index(drop=True)
        begun, busy = time.perf_counter(), time.process_time()
        model.score(row)
        passed.append((time.perf_counter() - begun) * 1000)
        worked.append((time.process_time() - busy) * 1000)
    return {
        "model/bytes": float(size),
        "model/milliseconds_a_row": float(np.median(passed)),
        "model/cpu_milliseconds_a_row": float(np.median(worked)),
    }


def data_metrics(prepared: Prepared, holdout: pd.DataFrame) -> dict[str, float]:
    """Rows learned from and evaluated on, and how often the outcome occurred."""
    metrics = {"data/rows": float(len(prepared.splits["train"].rows)), "data/holdout_rows": float(len(holdout))}
    if "churned" in holdout:
        metrics["data/positive_rate"] = float(holdout["churned"].mean())
    elif "is_subscribed" in holdout:
        metrics["data/positive_rate"] = float(holdout["is_subscribed"].mean())
    elif "event" in holdout:
        metrics["data/positive_rate"] = float(holdout["event"].mean())
    elif "order_days" in holdout:
        metrics["data/positive_rate"] = float((holdout["order_days"] > 0).mean())
    return metrics


def holdout_frame(holdout: Split, measured: Measured, rival: Measured) -> pd.DataFrame:
    """What is needed to measure again, without saying who is who."""
    if len(measured.losses) != len(holdout.rows):
        return pd.DataFrame({"loss": measured.losses, "baseline_loss": rival.losses})
    outcome = holdout.outcome
    kept = [name for name in OUTCOMES if name in outcome]
    return pd.concat(
        [measured.scores, outcome[kept], pd.DataFrame({"loss": measured.losses, "baseline_loss": rival.losses})], axis=1
    )
