"""What stands behind a grade, as sections that the model card and the report share: headings, words and tables."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from training.evaluation.grade import Skill

OVER, STABILITY, SURVEYS = "skill_over_", "stability/", "surveys/skill"
OUT_OF_CUSTOMER = (
    ("roc_auc", "AUC"),
    ("log_loss", "log loss"),
    ("brier", "Brier score"),
    ("expected_calibration_error", "calibration error"),
)
ASSUMED = "assumed as in Verbraken, Verbeke and Baesens (2013) since no offer was declared (`offer` in the settings)"
FAIR = ("observed_rate", "mean_probability", "calibration_gap", "roc_auc", "false_negative_rate")

CONTEST = (
    ("poisson_deviance_orders", "Poisson deviance"),
    ("rmse_orders", "RMSE, orders"),
    ("mae_value", "mean absolute error, value"),
    ("gini_value", "Gini of value"),
    ("bias_total_value", "bias of total value"),
    ("coverage_90", "within 90 % interval"),
)
"""What is told of every contender of a backtest."""
MISSED = "A false negative is a customer with the outcome whose probability is below the high band."


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Parameters
    ----------
    title : str
        Its heading.
    words, points : tuple of str
        Paragraphs and list.
    columns : tuple of str
        Heads of its table; empty for none.
    rows : tuple of tuple of str
        The table's cells.
    """

    title: str
    words: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def number(value: float) -> str:
    """A figure with the digits a reader needs."""
    if math.isnan(value):
        return "none"
    if abs(value) >= 1000 or value == 0:
        return f"{value:,.0f}"
    return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"


def with_interval(figures: Mapping[Any, Any], name: str) -> str:
    """A figure, with its 90 % interval where there is one; empty where there is no figure."""
    value = figures.get(name)
    if value is None or math.isnan(value):
        return ""
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    if low is None or high is None or math.isnan(low):
        return number(value)
    return f"{number(value)} ({number(low)} to {number(high)})"


def skill_at(metrics: Mapping[str, float], name: str) -> Skill:
    """A skill among metrics."""
    return Skill(metrics[name], metrics[f"{name}_low"], metrics[f"{name}_high"])


def skills_from(metrics: Mapping[str, float], start: str) -> dict[str, Skill]:
    """The skills among metrics whose names begin alike, by the rest of the name."""
    names = [name for name in metrics if name.startswith(start) and f"{name}_low" in metrics]
    return {name.removeprefix(start): skill_at(metrics, name) for name in names}


def proof_sections(metrics: Mapping[str, float], on: str, fairness: pd.DataFrame) -> Iterator[Section]:
    """What a grade rests on besides the figures themselves, each where there is any.

    Parameters
    ----------
    metrics : mapping of str to float
        Of a run.
    on : str
        The split that it was measured on.
    fairness : pandas.DataFrame
        See `training.evaluation.fairness`; may be empty.
    """
    over = skills_from(metrics, f"{on}/{OVER}")
    if len(over) > 1:
        rows = tuple((name, found.words()) for name, found in over.items())
        words = "Share of the loss of each that the model takes away, on the same customers."
        yield Section("Over every named baseline", (words,), (), ("baseline", "skill"), rows)
    yield from _beside_out_of_time(metrics, on)
    yield from _curve(metrics)
    yield from _profit(metrics)
    stability = skills_from(metrics, STABILITY)
    if stability:
        rows = tuple((_place(name), found.words()) for name, found in sorted(stability.items()))
        words = "Skill of the same recipe, learned and measured elsewhere."
        yield Section("Stability", (words,), (), ("cutoff or fold", "skill"), rows)
    surveys = skills_from(metrics, SURVEYS)
    if surveys:
        words = "Share of the loss without any survey feature that surveys take away."
        cells = tuple(
            (
                group.strip("_").replace("_", " ") or "all",
                f"{metrics[f'surveys/rows{group}']:,.0f}",
                found.words(),
            )
            for group, found in sorted(surveys.items())
        )
        yield Section("With and without surveys", (words,), (), ("customers", "rows", "skill"), cells)
    yield from group_section("Declared groups", fairness, "group", FAIR, (MISSED,))


def backtest_section(backtest: Mapping[str, Any] | None) -> Iterator[Section]:
    """Who competed before the cutoff and how everyone did, where there was a backtest.

    Parameters
    ----------
    backtest : mapping or None
        See `training.evaluation.standings.Backtest.document`.
    """
    if not backtest:
        return
    best, rival, naive = backtest["champion"], backtest["rival"], backtest["best_naive"]
    over_rival, over_naive = (Skill(**backtest[f"skill_over_{name}"]).words() for name in ("rival", "best_naive"))
    beaten = "" if backtest["beats_best_naive"] else ", which is not clearly more than none"
    words = (
        f"Every family and every named naive forecast from {len(backtest['origins'])} earlier cutoffs, over "
        f"{backtest['window_days']} days each; the family of least Poisson deviance won: {best}. It takes away "
        f"{over_rival} of the deviance of {rival}, and {over_naive} of that of {naive}, the best naive one{beaten}.",
    )
    rows = tuple(
        (
            f"{row['name']} (naive)" if row["is_naive"] else str(row["name"]),
            *("" if row.get(name) is None else number(row[name]) for name, _ in CONTEST),
        )
        for row in backtest["table"]
    )
    yield Section("Against every family and naive forecast", words, (), ("", *(words for _, words in CONTEST)), rows)


def _beside_out_of_time(metrics: Mapping[str, float], on: str) -> Iterator[Section]:
    """What cross-validation among customers finds beside what was measured out of time, where it was done."""
    if "out_of_customer/customers" not in metrics:
        return
    gain = skill_at(metrics, "out_of_customer/skill_over_out_of_time").words()
    customers, folds = (metrics[f"out_of_customer/{name}"] for name in ("customers", "folds"))
    words = (
        "Out of time, the model learned from earlier label windows only, as it has to when it is used: by that it is "
        "promoted. Out of customer, the same recipe learned from the same label window of other customers "
        f"({customers:,.0f} in {folds:.0f} folds), which nobody knows when customers are scored, and took away {gain} "
        "of the loss left out of time: above 0 that is drift, what changed since the windows learned from or could "
        "only be estimated of them; below 0, one window taught less than several."
    )
    rows = tuple(
        (name, with_interval(metrics, f"{on}/{figure}"), with_interval(metrics, f"out_of_customer/{figure}"))
        for figure, name in OUT_OF_CUSTOMER
        if f"{on}/{figure}" in metrics and f"out_of_customer/{figure}" in metrics
    )
    yield Section("Out of customer", (words,), (), ("figure", "out of time", "out of customer"), rows)


def _curve(metrics: Mapping[str, float]) -> Iterator[Section]:
    """How well it was told when customers will have left, where that was measured."""
    if "curve/c_index" not in metrics:
        return
    c_index, brier, without = (
        number(metrics[f"curve/{name}"]) for name in ("c_index", "integrated_brier", "integrated_brier_kaplan_meier")
    )
    words = "The probability to have left by each day, which never falls with the days (`probability_churned_30d` ...)."
    rows = (
        ("Harrell's C: how well it is told who leaves sooner", c_index, "0.5 is chance, 1 is flawless"),
        ("Integrated Brier score", brier, f"lower is better; {without} of one curve for all (Kaplan-Meier)"),
    )
    yield Section("When customers will have left", (words,), (), ("figure", "model", ""), rows)


def _profit(metrics: Mapping[str, float]) -> Iterator[Section]:
    """What contacting customers would earn, where that was measured."""
    found = {name.removeprefix("profit/"): value for name, value in metrics.items() if name.startswith("profit/")}
    if not found:
        return
    said = "as declared" if not found["is_assumed"] else ASSUMED
    words = (
        f"Terms, {said}: a contact costs {found['contact_cost']:g}, an offer taken {found['offer_cost']:g}, a customer "
        f"kept brings {found['margin']:g}, and {found['success_rate']:.0%} of those who would leave are kept.",
        "Profit is that of one customer, on average of all on the split, contacted or not; its interval holds what is "
        "not known of the terms. EMPC takes the best share to contact at every success rate, and its interval holds "
        "the chance in who was measured. The best threshold was chosen on the customers it is measured on; a "
        "calibrated model says the second.",
    )
    rows = [("expected maximum profit (EMPC)", with_interval(found, "empc"))]
    rows.append(("share to contact for it", f"{found['empc_share']:.1%}"))
    rows.append(("most profit on the curve", with_interval(found, "best") if found["best_share"] else "none"))
    rows.append(("share to contact for it", f"{found['best_share']:.1%}"))
    rows.append(("best threshold", number(found["threshold"]) if "threshold" in found else "contact nobody"))
    rows.append(("break-even probability", number(found["break_even"]) if "break_even" in found else "never pays"))
    yield Section("What contacting would earn", words, (), ("figure", "value"), tuple(rows))


def _place(name: str) -> str:
    """A cutoff or fold as a reader knows it."""
    return name.replace("_", "-" if name[0].isdigit() else " ")


def group_section(
    title: str, table: pd.DataFrame, by: str, names: tuple[str, ...], words: tuple[str, ...] = ()
) -> Iterator[Section]:
    """A table of groups of customers with their figures, where there are any."""
    if len(table):
        rows = tuple(
            (
                f"{row[by]} = {row['level']}",
                f"{row['rows']:,}",
                *(with_interval(row, name) for name in names),
                "low evidence" if row["low_evidence"] else "",
            )
            for row in table.to_dict("records")
        )
        yield Section(title, words, columns=(by, "rows", *(name.replace("_", " ") for name in names), ""), rows=rows)
