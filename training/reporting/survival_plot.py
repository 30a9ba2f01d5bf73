"""How long subscribers stay, fitted and seen, and what they paid after the cutoff, as PNG and as the data behind it."""

from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from models.base import Array
from models.clv.contractual import ContractualModel
from models.clv.renewals.shifted_beta_geometric import Outcomes
from models.clv.renewals.strata import strata_of
from models.clv.renewals.subscribers import Subscribers
from training.reporting.figure import INK, MODEL, RIVAL
from training.result import FitResult

NAME, MOST_RENEWALS = "survival", 60
COLOURS = (MODEL, "#b45309", "#15803d", "#7c3aed")
"""Of the plans shown: those with the most subscribers."""


def draw_survival(result: FitResult, folder: Path) -> list[Path]:
    """Draw the survival curve of subscriptions beside expected and actual paid periods.

    Parameters
    ----------
    result : FitResult
        Of a family of subscriptions.
    folder : Path
        Made if missing; gets ``survival.png``, ``survival.csv`` and ``paid_periods.csv``.

    Returns
    -------
    list of Path
        The picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    curve, paid = survival_curve(result), paid_periods(result)
    figure = Figure(figsize=(12.0, 4.4), layout="constrained")
    contract = result.evaluated.contract
    words = f"{result.family.name}, evaluated from {contract.cutoff:%Y-%m-%d} over {contract.horizon_days} days"
    figure.suptitle(f"Subscriptions\n{words}", color=INK, fontsize=11)
    left, right = (figure.add_subplot(1, 2, place) for place in (1, 2))
    shown = list(curve.groupby("subscribers", sort=False))[: len(COLOURS)]
    for colour, (name, each) in zip(COLOURS, shown, strict=False):
        words = f", {name}" if len(shown) > 1 else ""
        left.plot(each["renewals"], each["fitted"], color=colour, label=f"fitted{words}")
        seen = INK if colour == MODEL else colour
        left.step(each["renewals"], each["seen"], where="post", color=seen, linewidth=0.8, label=f"seen{words}")
    left.set(xlabel="renewals made", ylabel="share still subscribed", ylim=(0, 1.02))
    place = np.arange(len(paid))
    for shift, name, color in ((-0.25, "actual", INK), (0, "expected", MODEL), (0.25, "baseline", RIVAL)):
        right.bar(place + shift, paid[name], 0.24, color=color, label=name)
    right.set_xticks(place, paid["renewals"].tolist())
    right.set(ylabel="mean periods paid in the horizon")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    FigureCanvasAgg(figure)
    picture = folder / f"{NAME}.png"
    figure.savefig(picture, dpi=110, metadata={"Software": None})
    curve.to_csv(folder / f"{NAME}.csv", index=False)
    paid.to_csv(folder / "paid_periods.csv", index=False)
    return [picture]


def survival_curve(result: FitResult) -> pd.DataFrame:
    """Share still subscribed after each number of renewals, fitted and by Kaplan and Meier (1958), equation (2b).

    Plans that were fitted on their own, and those of one period together, come one after the other, the largest first.
    """
    model = cast("ContractualModel", result.evaluated.model)
    subscribers = Subscribers.of(result.prepared.splits["train"].rows, model.periods_)
    which, left = strata_of(subscribers, model.strata_), ~subscribers.is_running
    parts = []
    for place in np.argsort(-np.bincount(which, minlength=len(model.strata_)), kind="stable"):
        here, stratum = which == place, model.strata_[place]
        if not (left[here].any() or subscribers.renewals[here].any()):
            continue
        outcomes = Outcomes.of_subscribers(subscribers.renewals[here], left[here])
        seen = kaplan_meier(outcomes)[: MOST_RENEWALS + 1]
        renewals = np.arange(float(len(seen)))
        fitted = stratum.staying.survival(renewals)
        parts.append(pd.DataFrame({"subscribers": stratum.title, "renewals": renewals, "fitted": fitted, "seen": seen}))
    return pd.concat(parts, ignore_index=True)


def kaplan_meier(outcomes: Outcomes) -> Array:
    """Share still there after 0, 1, 2, ... renewals, those whose future is not known yet left out from then on."""
    left, stayed = outcomes.left, outcomes.stayed[:-1]
    before = np.concatenate([[0.0], np.cumsum(left)[:-1]])  # who had left when a renewal came up
    had_renewal = outcomes.subscribers - before - np.cumsum(stayed)
    hazard = np.divide(left, had_renewal, out=np.zeros_like(left), where=had_renewal > 0)
    return np.concatenate([[1.0], np.cumprod(1 - hazard)])


def paid_periods(result: FitResult) -> pd.DataFrame:
    """Mean paid periods of the horizon by renewals made before: actual, expected, baseline."""
    split = result.prepared.splits["holdout"]
    data = pd.DataFrame(
        {
            "renewals": np.minimum(split.outcome["renewals"] // 6, 4).astype(int),
            "actual": split.outcome["paid_periods"],
            "expected": result.measured.scores["expected_orders"],
            "baseline": result.baseline.scores["expected_orders"],
        }
    )
    means = data.groupby("renewals").mean().reset_index()
    means.insert(1, "rows", data.groupby("renewals").size().to_numpy())
    means["renewals"] = [f"{low * 6}-{low * 6 + 5}" if low < 4 else "24+" for low in means["renewals"]]
    return means
