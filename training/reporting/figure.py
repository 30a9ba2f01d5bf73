"""How plots look: one paper, one ink, one colour for the model."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.result import FitResult

INK, MODEL, RIVAL, QUIET, PALE = "#1f2933", "#2563eb", "#9aa5b1", "#cbd2d9", "#dbe7fd"
WIDTH, HEIGHT = 6.0, 4.4
Drawn = tuple[Figure, pd.DataFrame]


def figure_of(title: str, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side."""
    figure = Figure(figsize=(WIDTH * panels, HEIGHT), layout="constrained")
    figure.suptitle(title, color=INK, fontsize=11)
    axes = [figure.add_subplot(1, panels, i + 1) for i in range(panels)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="#e4e7eb", linewidth=0.7)
        axis.set_axisbelow(True)
    return figure, axes


def title_of(result: FitResult, what: str) -> str:
    """What is shown, of which family, evaluated from when."""
    contract = result.evaluated.contract
    when = "by cross-validation"
    if result.evaluated_on == "holdout":
        when = f"from {contract.cutoff:%Y-%m-%d} over {contract.horizon_days} days"
    return f"{what}\n{result.family.name}, evaluated {when}"
