"""What a data scientist wants to see of a run, as PNG and as the data behind it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from sklearn.metrics import roc_curve

from models.base import Array
from models.families import RANKED, Task
from training.clv_plots import CLV_PLOTS
from training.figure import INK, MODEL, QUIET, RIVAL, Drawn, figure_of, title_of
from training.fit import FitResult
from training.metrics import reliability


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


def _answers(result: FitResult) -> Array:
    """Who had the outcome."""
    outcome = result.prepared.splits[result.evaluated_on].outcome
    return outcome["event" if result.task == "propensity" else "churned"].to_numpy()


def roc_and_calibration(result: FitResult) -> Drawn:
    """ROC curve, and predicted against observed rate."""
    churned = _answers(result)
    figure, (left, right) = figure_of(title_of(result, "Ranking and calibration"), panels=2)
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
    figure, (axis,) = figure_of(title_of(result, "Observed rate by predicted tenth"))
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


PLOTS: dict[Task, Mapping[str, Callable[[FitResult], Drawn]]] = {
    "churn": {"roc_and_calibration": roc_and_calibration, "lift": lift},
    "clv": CLV_PLOTS,
    "segments": {"segment_profile": segment_profile},
    "propensity": {"roc_and_calibration": roc_and_calibration, "lift": lift},
}
