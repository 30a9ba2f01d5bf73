"""Plots of a classifier: how it ranks, whether its probabilities hold, what its first tenths catch, what drives it."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.patches import Patch
from sklearn.metrics import roc_curve

from models.base import Array
from models.families import RANKED
from training.evaluation.factors import LEAST_ASSOCIATION, global_factors
from training.evaluation.intervals import gains_and_lift, reliability_with_intervals
from training.evaluation.profit import curve_of, terms_of
from training.reporting.figure import INK, MODEL, PALE, QUIET, RIVAL, Drawn, figure_of, title_of
from training.result import FitResult

FACTORS_SHOWN = 12
PLACES = 500
"""Of the profit curve that are drawn, at most."""
FALLS = "#b45309"


def _answers(result: FitResult) -> Array:
    """Who had the outcome."""
    outcome = result.prepared.splits[result.evaluated_on].outcome
    return outcome["event" if result.task == "propensity" else "churned"].to_numpy()


def _bars(table: pd.DataFrame, name: str) -> Array:
    """How far an interval reaches below and above its figure."""
    low, middle, high = (table[f"{name}{end}"].to_numpy(dtype=np.float64) for end in ("_low", "", "_high"))
    return np.asarray(np.maximum([middle - low, high - middle], 0.0), dtype=np.float64)


def roc_and_calibration(result: FitResult) -> Drawn:
    """ROC curve, and predicted against observed rate with its 90 % interval."""
    churned = _answers(result)
    figure, (left, right) = figure_of(title_of(result, "Ranking and calibration"), panels=2)
    parts = []
    for label, measured, color in (("model", result.measured, MODEL), ("baseline", result.baseline, RIVAL)):
        probability = measured.scores[RANKED[result.task]].to_numpy()
        area = measured.metrics.get("roc_auc", float("nan"))
        if len(np.unique(churned)) > 1:
            missed, caught, _ = roc_curve(churned, probability)
            left.plot(missed, caught, color=color, label=f"{label}, AUC {area:.3f}")
        table = pd.DataFrame(reliability_with_intervals(churned, probability))
        error = measured.metrics["expected_calibration_error"]
        words, bars = f"{label}, ECE {error:.3f}", _bars(table, "observed")
        right.errorbar(table["predicted"], table["observed"], bars, fmt="o-", capsize=2, color=color, label=words)
        parts.append(table.assign(model=label))
    for axis, names in ((left, ("false positive rate", "true positive rate")), (right, ("predicted", "observed"))):
        axis.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1)
        axis.set(xlabel=names[0], ylabel=names[1], xlim=(0, 1), ylim=(0, 1))
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, loc="lower right")
    return figure, pd.concat(parts)


def lift(result: FitResult) -> Drawn:
    """Observed rate by tenth of predicted probability, and the share of the outcome that the first tenths catch."""
    churned = _answers(result)
    data = pd.DataFrame(gains_and_lift(churned, result.measured.scores[RANKED[result.task]].to_numpy()))
    figure, (left, right) = figure_of(title_of(result, "Lift and gains by predicted tenth"), panels=2)
    left.bar(data["tenth"], data["observed"], color=MODEL, label="observed")
    left.errorbar(data["tenth"], data["observed"], _bars(data, "observed"), fmt="none", color=INK, capsize=2)
    left.plot(data["tenth"], data["predicted"], "o", color=INK, label="predicted")
    left.axhline(churned.mean(), color=RIVAL, linestyle="--", label=f"all customers, {churned.mean():.1%}")
    left.set(ylabel="rate of the outcome")
    right.errorbar(data["tenth"], data["gain"], _bars(data, "gain"), fmt="o-", color=MODEL, capsize=2, label="model")
    right.plot([0, 10], [0, 1], color=RIVAL, linestyle="--", label="at random")
    right.set(ylabel="share of the outcome caught")
    for axis in (left, right):
        axis.set(xlabel="tenth of customers, most likely first", xticks=range(1, 11), ylim=(0, 1.05))
        axis.legend(frameon=False)
    return figure, data


def factors(result: FitResult) -> Drawn:
    """The most important factors: mean absolute contribution, and the direction in which they go."""
    rows = result.prepared.splits[result.evaluated_on].rows
    known = result.examined.factors
    data = (known if len(known) else global_factors(result.evaluated.model, rows)).head(FACTORS_SHOWN)
    figure, (axis,) = figure_of(title_of(result, "What drives it"))
    shown = data.iloc[::-1]
    rises = shown["association"].to_numpy(dtype=np.float64)
    colors = np.where(rises >= LEAST_ASSOCIATION, MODEL, np.where(rises <= -LEAST_ASSOCIATION, FALLS, RIVAL))
    axis.barh(shown["factor"], shown["contribution"], color=colors.tolist())
    words = ((MODEL, "more raises it"), (FALLS, "more lowers it"), (RIVAL, "mixed, or a name"))
    handles = [Patch(color=color, label=label) for color, label in words]
    axis.set(xlabel="mean absolute contribution to the log-odds")
    axis.tick_params(axis="y", labelsize=8)
    axis.legend(handles=handles, frameon=False, loc="lower right", fontsize=8)
    return figure, data


def profit(result: FitResult) -> Drawn:
    """What contacting customers in the order of the score would earn, and down to which probability it pays most."""
    churned, probability = _answers(result), result.measured.scores[RANKED[result.task]].to_numpy()
    curve, count = curve_of(churned, probability, result.config), len(churned)
    columns = {"share": curve.share, "threshold": curve.threshold}
    columns |= {"profit": curve.profit / count, "low_90": curve.low_90 / count, "high_90": curve.high_90 / count}
    places = np.unique(np.append(np.linspace(0, len(curve.share) - 1, PLACES).astype(int), curve.best))
    data = pd.DataFrame(columns).iloc[places]
    best = pd.DataFrame(columns).iloc[curve.best]
    figure, (axis,) = figure_of(title_of(result, "Profit of contacting, highest probability first"))
    axis.fill_between(data["share"], data["low_90"], data["high_90"], color=PALE, label="90 % interval of the terms")
    axis.plot(data["share"], data["profit"], color=MODEL, label="expected profit")
    axis.axhline(0, color=QUIET, linewidth=1)
    words = "contact nobody" if np.isinf(best["threshold"]) else f"most from probability {best['threshold']:.3f}"
    axis.plot([best["share"]], [best["profit"]], "o", color=INK, label=words)
    terms = terms_of(result.config)
    said = "declared" if result.config.offer else "assumed as in Verbraken et al. (2013)"
    costs = f"contact {terms.contact_cost.mean:g}, offer {terms.offer_cost.mean:g}, margin {terms.margin.mean:g}"
    success = f"success {terms.success_rate.mean:.0%}"
    axis.set(
        xlabel=f"share of customers contacted\n{costs}, {success}\n({said})", ylabel="profit a customer", xlim=(0, 1)
    )
    axis.legend(frameon=False, loc="best")
    return figure, data


CHURN_PLOTS: Mapping[str, Callable[[FitResult], Drawn]] = {
    "roc_and_calibration": roc_and_calibration,
    "lift": lift,
    "global_factors": factors,
}
PROFIT_PLOTS: Mapping[str, Callable[[FitResult], Drawn]] = {"profit": profit}
