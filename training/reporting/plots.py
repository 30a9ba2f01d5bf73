"""What a data scientist wants to see of a run, as PNG and as the data behind it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg

from models.families import Task
from training.reporting.churn_plots import CHURN_PLOTS, PROFIT_PLOTS
from training.reporting.clv_plots import CLV_PLOTS
from training.reporting.figure import MODEL, Drawn, figure_of, title_of
from training.result import FitResult


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
    "churn": {**CHURN_PLOTS, **PROFIT_PLOTS},
    "clv": CLV_PLOTS,
    "segments": {"segment_profile": segment_profile},
    "propensity": CHURN_PLOTS,
}
