"""What a data scientist wants to see of a run, as PNG and as the data behind it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg

from models.families import Task
from training.churn_plots import CHURN_PLOTS
from training.figure import INK, MODEL, RIVAL, Drawn, figure_of, title_of
from training.fit import FitResult


def draw(result: FitResult, folder: Path) -> list[Path]:
    """Draw the task's plots.

    Parameters
    ----------
    result : FitResult
        Measured on its holdout.
    folder : Path
        Made if missing; gets ``<plot>.png`` and ``<plot>.csv`` for each.

    Returns
    -------
    list of Path
        The pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for name, plot in PLOTS[result.task].items():
        figure, data = plot(result)
        path = folder / f"{name}.png"
        FigureCanvasAgg(figure)
        figure.savefig(path, dpi=110, metadata={"Software": None})
        data.to_csv(folder / f"{name}.csv", index=False)
        pictures.append(path)
    return pictures


def expected_and_actual_orders(result: FitResult) -> Drawn:
    """Mean orders in the holdout by repeat orders before the cutoff: expected, actual, baseline."""
    outcome = result.prepared.splits["holdout"].outcome
    data = pd.DataFrame(
        {
            "frequency": np.minimum(outcome["frequency"], 7).astype(int),
            "actual": outcome["order_days"],
            "expected": result.measured.scores["expected_orders"],
            "baseline": result.baseline.scores["expected_orders"],
        }
    )
    means = data.groupby("frequency").mean()
    means.insert(0, "rows", data.groupby("frequency").size())
    figure, (axis,) = figure_of(title_of(result, "Expected and actual orders"))
    axis.plot(means.index, means["actual"], "o-", color=INK, label="actual")
    axis.plot(means.index, means["expected"], "o-", color=MODEL, label="expected")
    axis.plot(means.index, means["baseline"], "o--", color=RIVAL, label="baseline")
    labels = [f"{i}+" if i == 7 else str(i) for i in means.index.tolist()]
    axis.set(xlabel="repeat order days before the cutoff", ylabel="mean order days after it")
    axis.set_xticks(means.index, labels)
    axis.legend(frameon=False)
    return figure, means.reset_index()


def frequency_recency_matrix(result: FitResult) -> Drawn:
    """Expected orders and probability of being active, over repeat orders and time of the last order.

    Whatever else the model knows of customers is that of a typical one.
    """
    rows = result.prepared.splits["train"].rows
    oldest = float(rows["T_days"].max())
    most = int(np.clip(np.quantile(rows["frequency"], 0.995), 5, 25))
    frequency, recency = np.meshgrid(np.arange(most + 1.0), np.linspace(0, oldest, 40))
    grid = pd.DataFrame({"frequency": frequency.ravel(), "recency_days": recency.ravel(), "T_days": oldest})
    grid = grid[(grid["frequency"] == 0) == (grid["recency_days"] == 0)].reset_index(drop=True)
    grid["monetary_value"] = float(rows["monetary_value"].mean())
    histories = list(grid.columns)
    for name in result.evaluated.model.columns_:
        if name not in grid:
            known = rows[name].dropna()
            typical = known.mode().iloc[0] if known.dtype == object and len(known) else known.median()
            grid[name] = pd.Series([typical] * len(grid), dtype=rows[name].dtype)
    scores = result.evaluated.model.score(grid[list(result.evaluated.model.columns_)])
    data = pd.concat(
        [grid[histories].drop(columns="monetary_value"), scores[["probability_active", "expected_orders"]]], axis=1
    )
    figure, axes = figure_of(title_of(result, "Frequency and recency"), panels=2)
    for axis, name in zip(axes, ("expected_orders", "probability_active"), strict=True):
        table = data.pivot_table(index="recency_days", columns="frequency", values=name)
        picture = axis.pcolormesh(table.columns, table.index, table.to_numpy(), cmap="viridis", shading="nearest")
        axis.set(xlabel="repeat order days", ylabel="days from first to last order", title=name.replace("_", " "))
        axis.grid(visible=False)
        figure.colorbar(picture, ax=axis)
    return figure, data


def segment_profile(result: FitResult) -> Drawn:
    """Size of each segment, how its customers differ from the average, and what they ordered afterwards."""
    split = result.prepared.splits["holdout"]
    model = result.evaluated.model
    table = pd.concat(
        [model.score(split.rows), model.explain(split.rows), split.outcome[["order_days", "order_value"]]], axis=1
    )
    grouped = table.groupby(["segment_id", "segment"])
    data = grouped.mean(numeric_only=True)
    data.insert(0, "share", grouped.size() / len(table))
    data = data.reset_index()
    figure, (left, right) = figure_of(title_of(result, "Segments"), panels=2)
    names = [f"{row.segment} ({row.share:.0%})" for row in data.itertuples()]
    columns = list(model.columns_)
    values = data[columns].to_numpy()
    limit = float(np.abs(values).max())
    picture = left.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    left.set_yticks(range(len(names)), names)
    left.set_xticks(range(len(columns)), [name.replace("_", "\n", 1) for name in columns])
    left.set_title("standard deviations from the average")
    left.grid(visible=False)
    figure.colorbar(picture, ax=left)
    right.barh(range(len(names)), data["order_value"], color=MODEL)
    right.set_yticks(range(len(names)), [])
    right.invert_yaxis()
    right.set_title("mean value ordered in the horizon after the cutoff")
    return figure, data


PLOTS: Mapping[Task, Mapping[str, Callable[[FitResult], Drawn]]] = {
    "churn": CHURN_PLOTS,
    "clv": {
        "expected_and_actual_orders": expected_and_actual_orders,
        "frequency_recency_matrix": frequency_recency_matrix,
    },
    "segments": {"segment_profile": segment_profile},
    "propensity": CHURN_PLOTS,
}
