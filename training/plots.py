"""What a data scientist wants to see of a run, as PNG and as the data behind it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from models.base import Array
from models.families import RANKED, Task
from training.fit import FitResult
from training.metrics import reliability

INK, MODEL, RIVAL, QUIET = "#1f2933", "#2563eb", "#9aa5b1", "#cbd2d9"
Drawn = tuple[Figure, pd.DataFrame]


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


def _figure(title: str, panels: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(6.0 * panels, 4.4), layout="constrained")
    figure.suptitle(title, color=INK, fontsize=11)
    axes = [figure.add_subplot(1, panels, i + 1) for i in range(panels)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="#e4e7eb", linewidth=0.7)
        axis.set_axisbelow(True)
    return figure, axes


def _title(result: FitResult, what: str) -> str:
    contract = result.evaluated.contract
    when = "by cross-validation"
    if result.evaluated_on == "holdout":
        when = f"from {contract.cutoff:%Y-%m-%d} over {contract.horizon_days} days"
    return f"{what}\n{result.family.name}, evaluated {when}"


def _answers(result: FitResult) -> Array:
    """Who had the outcome."""
    outcome = result.prepared.splits[result.evaluated_on].outcome
    return outcome["event" if result.task == "propensity" else "churned"].to_numpy()


def roc_and_calibration(result: FitResult) -> Drawn:
    """ROC curve, and predicted against observed rate."""
    churned = _answers(result)
    figure, (left, right) = _figure(_title(result, "Ranking and calibration"), panels=2)
    parts = []
    for label, measured, color in (("model", result.measured, MODEL), ("baseline", result.baseline, RIVAL)):
        probability = measured.scores[RANKED[result.task]].to_numpy()
        area = measured.metrics.get("roc_auc", float("nan"))
        if len(np.unique(churned)) > 1:
            missed, caught, _ = roc_curve(churned, probability)
            left.plot(missed, caught, color=color, label=f"{label}, AUC {area:.3f}")
        table = pd.DataFrame(reliability(churned, probability))
        error = measured.metrics["expected_calibration_error"]
        right.plot(table["predicted"], table["observed"], "o-", color=color, label=f"{label}, ECE {error:.3f}")
        parts.append(table.assign(model=label))
    for axis, names in ((left, ("false positive rate", "true positive rate")), (right, ("predicted", "observed"))):
        axis.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1)
        axis.set(xlabel=names[0], ylabel=names[1], xlim=(0, 1), ylim=(0, 1))
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, loc="lower right")
    return figure, pd.concat(parts)


def lift(result: FitResult) -> Drawn:
    """Observed rate by tenth of predicted probability, against the rate of all."""
    churned = _answers(result)
    probability = result.measured.scores[RANKED[result.task]].to_numpy()
    tenth = 9 - (pd.Series(probability).rank(method="first").to_numpy() - 1) * 10 // len(churned)
    table = pd.DataFrame({"tenth": tenth.astype(int) + 1, "observed": churned, "predicted": probability})
    data = table.groupby("tenth").agg(
        rows=("observed", "size"), observed=("observed", "mean"), predicted=("predicted", "mean")
    )
    data["lift"] = data["observed"] / churned.mean()
    figure, (axis,) = _figure(_title(result, "Observed rate by predicted tenth"))
    axis.bar(data.index, data["observed"], color=MODEL, label="observed")
    axis.plot(data.index, data["predicted"], "o", color=INK, label="predicted")
    axis.axhline(churned.mean(), color=RIVAL, linestyle="--", label=f"all customers, {churned.mean():.1%}")
    axis.set(
        xlabel="tenth of customers, most likely first",
        ylabel="rate of the outcome",
        xticks=range(1, 11),
        ylim=(0, 1.05),
    )
    axis.legend(frameon=False)
    return figure, data.reset_index()


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
    figure, (axis,) = _figure(_title(result, "Expected and actual orders"))
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
    figure, axes = _figure(_title(result, "Frequency and recency"), panels=2)
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
    figure, (left, right) = _figure(_title(result, "Segments"), panels=2)
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


PLOTS: dict[Task, dict[str, Callable[[FitResult], Drawn]]] = {
    "churn": {"roc_and_calibration": roc_and_calibration, "lift": lift},
    "clv": {
        "expected_and_actual_orders": expected_and_actual_orders,
        "frequency_recency_matrix": frequency_recency_matrix,
    },
    "segments": {"segment_profile": segment_profile},
    "propensity": {"roc_and_calibration": roc_and_calibration, "lift": lift},
}
