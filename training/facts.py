"""What a run keeps besides its figures: how many rows, what the model costs, and the rows to measure it on again."""

import json
import time

import numpy as np
import pandas as pd

from models.base import Model
from training.splits import Split
from training.task import Measured, Prepared


def cost_metrics(model: Model, rows: pd.DataFrame) -> dict[str, float]:
    """Size of the model as kept, and how long one customer takes: the median of 20 tries."""
    state = model.state()
    size = len(json.dumps(state.parameters)) + sum(map(len, state.texts.values()))
    taken = []
    for i in range(20):
        row = rows.iloc[[i % len(rows)]].reset_index(drop=True)
        begun = time.perf_counter()
        model.score(row)
        taken.append((time.perf_counter() - begun) * 1000)
    return {"model/bytes": float(size), "model/milliseconds_a_row": float(np.median(taken))}


def data_metrics(prepared: Prepared, holdout: pd.DataFrame) -> dict[str, float]:
    """Rows learned from and evaluated on, and the rate of the outcome."""
    metrics = {"data/rows": float(len(prepared.splits["train"].rows)), "data/holdout_rows": float(len(holdout))}
    if "churned" in holdout:
        metrics["data/positive_rate"] = float(holdout["churned"].mean())
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
    kept = [
        name for name in ("churned", "event", "order_days", "order_value", "frequency", "T_days") if name in outcome
    ]
    return pd.concat(
        [measured.scores, outcome[kept], pd.DataFrame({"loss": measured.losses, "baseline_loss": rival.losses})], axis=1
    )
