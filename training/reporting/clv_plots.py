"""Plots of lifetime value: forecasts against what came, in time, by customer and over all."""

import copy
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.ticker import MaxNLocator

from models.base import Array, Model
from models.clv.btyd import ClvBgNbd
from models.clv.equity import USUAL_ERROR, Equity
from models.clv.histories import Histories
from models.clv.hybrid import ClvHybrid
from training.evaluation.metrics import Z_90
from training.reporting.figure import INK, MODEL, PALE, QUIET, RIVAL, Drawn, figure_of, title_of
from training.result import FitResult
from training.rows.timeline import Timeline

WEEK = 7
MOST_FREQUENT = 7
POINTS = 60
"""Horizons at which a curve is computed; between them it is straight."""
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
"""Of the customers with a repeat order, at which ranges of repeat orders and of days begin."""


def tracking(result: FitResult) -> Drawn:
    """Weekly and cumulative repeat orders of everyone who had come by the cutoff: actual and expected."""
    data = tracked(result)
    cutoff = _when(result)
    dates = cutoff + data["day"].to_numpy(dtype=np.float64)
    figure, (left, right) = figure_of(title_of(result, "Repeat order days of all, week by week and in total"), panels=2)
    weeks = data.assign(week=data["day"] // WEEK).groupby("week")[["day", "actual", "expected"]]
    whole = weeks.sum()[weeks.size() == WEEK]
    starts = cutoff + whole.index.to_numpy(dtype=np.float64) * WEEK
    left.plot(starts, whole["actual"], color=INK, linewidth=1.4, label="actual")
    left.plot(starts, whole["expected"], color=MODEL, linewidth=1.8, label="expected")
    right.plot(dates, data["actual"].cumsum(), color=INK, linewidth=1.4, label="actual")
    right.plot(dates, data["expected_total"], color=MODEL, linewidth=1.8, label="expected")
    for axis, label in ((left, "repeat order days a week"), (right, "repeat order days since the beginning")):
        axis.axvspan(cutoff, dates[-1], color=PALE, alpha=0.5, linewidth=0)
        axis.text(0.985, 0.94, "holdout", transform=axis.transAxes, ha="right", color=MODEL)
        axis.set(ylabel=label, xlim=(dates[0], dates[-1]))
        axis.set_ylim(0, axis.get_ylim()[1] * 1.15)  # room for the legend
        axis.yaxis.set_major_formatter("{x:,.0f}")
        _date(axis)
        axis.legend(frameon=False, loc="upper left", ncols=2)
    return figure, data


def tracked(result: FitResult) -> pd.DataFrame:
    """Repeat order days of each day: actual, expected, and expected in all with the holdout counted on from the actual.

    Before the cutoff customers are expected to do what newcomers do, from their first order on; after it, each what
    its own history says. Newcomers after the cutoff are in neither.
    """
    known = _timeline(result)
    split, config = result.prepared.splits["holdout"], result.config
    ages = split.rows["T_days"].to_numpy(dtype=np.int64)  # of those who came on the last day: 0
    oldest, reach = int(ages.max()) + 1, config.gap_days + config.horizon_days
    daily = known.daily.set_index("day")["order_days"].reindex(range(-oldest, reach), fill_value=0)
    came = np.bincount(oldest - 1 - ages, minlength=oldest).astype(np.float64)
    actual = daily.to_numpy(dtype=np.float64)
    actual[:oldest] -= came
    before = np.convolve(came, np.diff(_of_newcomers(result.evaluated.model, np.arange(oldest + 1.0))))[:oldest]
    before = np.concatenate([[0.0], before[:-1]])  # the first order opens the day, repeat orders begin the day after
    horizons = np.arange(config.horizon_days + 1.0)
    ahead = np.diff(expected_within(result.evaluated.model, split.rows, result.measured.scores, horizons))
    ahead = np.concatenate([np.zeros(config.gap_days), ahead])
    counted = np.concatenate([np.cumsum(before), actual[:oldest].sum() + np.cumsum(ahead)])
    return pd.DataFrame(
        {
            "day": np.arange(-oldest, reach),
            "actual": actual,
            "expected": np.concatenate([before, ahead]),
            "expected_total": counted,
        }
    )


def expected_within(model: Model, rows: pd.DataFrame, scores: pd.DataFrame, horizons: Array) -> Array:
    """Orders that all customers together are expected to place within each of some days, up to the model's horizon.

    A customer's forecast for a shorter time is that for the horizon, taken down as purchase histories say.
    """
    expected = scores["expected_orders"].to_numpy()
    whole = float(horizons[-1])
    if not isinstance(model, ClvBgNbd | ClvHybrid):
        return np.asarray(expected.sum() * horizons / whole)
    _, first, pattern = np.unique(
        rows[["frequency", "recency_days", "T_days"]].to_numpy(dtype=np.float64),
        axis=0, return_index=True, return_inverse=True,
    )  # fmt: skip
    histories = Histories.of(rows.iloc[first].reset_index(drop=True))
    weight = np.bincount(pattern.ravel(), weights=expected) / model.orders_.expected_orders(histories, whole)
    return _curve(lambda horizon: float(weight @ model.orders_.expected_orders(histories, horizon)), horizons)


def _of_newcomers(model: Model, horizons: Array) -> Array:
    """Expected repeat orders of one customer within so many days of the first order."""
    if not isinstance(model, ClvBgNbd | ClvHybrid):
        return horizons * model.fitted_parameters().get("rate", 0.0)
    newcomer = Histories.of_new()
    return _curve(lambda horizon: float(model.orders_.expected_orders(newcomer, horizon)[0]), horizons)


def _curve(of: Callable[[float], float], horizons: Array) -> Array:
    """A function of time that begins at 0, computed at some points and straight between them."""
    points = np.unique(np.linspace(0, horizons[-1], min(POINTS, len(horizons))).round())
    return np.asarray(np.interp(horizons, points, [0.0, *(of(float(point)) for point in points[1:])]))


def expected_and_actual_orders(result: FitResult) -> Drawn:
    """Mean orders in the holdout by repeat orders before the cutoff: expected, actual, baseline."""
    outcome = result.prepared.splits["holdout"].outcome
    data = pd.DataFrame(
        {
            "frequency": np.minimum(outcome["frequency"], MOST_FREQUENT).astype(int),
            "actual": outcome["order_days"],
            "expected": result.measured.scores["expected_orders"],
            "baseline": result.baseline.scores["expected_orders"],
        }
    )
    grouped = data.groupby("frequency")
    means = grouped.mean()
    means.insert(0, "rows", grouped.size())
    means["actual_error"] = grouped["actual"].std() / np.sqrt(means["rows"])  # unknown of one customer
    figure, (axis,) = figure_of(title_of(result, "Expected and actual orders by repeat orders before"))
    axis.plot(means.index, means["baseline"], "o--", color=RIVAL, markersize=4, label="baseline")
    axis.plot(means.index, means["expected"], "o-", color=MODEL, label="expected")
    reach = Z_90 * means["actual_error"]
    axis.errorbar(means.index, means["actual"], reach, fmt="o", color=INK, capsize=3, label="actual, 90 % interval")
    labels = [f"{i}+" if i == MOST_FREQUENT else str(i) for i in means.index.tolist()]
    labels = [f"{label}\n{_short(rows)}" for label, rows in zip(labels, means["rows"], strict=True)]
    axis.set(
        xlabel="repeat order days before the cutoff\nand number of customers",
        ylabel=f"mean order days in {result.config.horizon_days} days",
    )
    axis.set_xticks(means.index, labels)
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, loc="upper left")
    return figure, means.reset_index()


def deciles_with_intervals(result: FitResult) -> Drawn:
    """Mean value ordered by a customer in the holdout by tenth of expected value, with intervals of these means.

    The intervals hold the chance in each customer and what totals were off by in the backtest; see `_level_errors`.
    """
    scores = result.measured.scores
    actual = result.prepared.splits["holdout"].outcome["order_value"].to_numpy(dtype=np.float64)
    expected = (scores["expected_orders"] * scores["expected_order_value"]).to_numpy()
    margin = (scores["clv"] - scores["clv_from_cost"]).to_numpy()  # what discount and margin leave of the value
    deviation = scores["clv_standard_deviation"].to_numpy() * expected / np.where(margin > 0, margin, np.inf)
    tenth = 9 - (pd.Series(expected).rank(method="first").to_numpy() - 1) * 10 // len(expected)
    errors, told = _level_errors(result)
    rows = []
    for each in np.unique(tenth):
        here = tenth == each
        size = int(here.sum())
        group = Equity.of(str(each), size, expected[here].sum(), (deviation[here] ** 2).sum(), errors, least=0.0)
        bounds = {name: getattr(group, name) / size for name in ("low_90", "low_50", "high_50", "high_90")}
        means = {"expected": expected[here].mean(), "actual": actual[here].mean()}
        rows.append({"tenth": int(each) + 1, "rows": size, **means, **bounds})
    data = pd.DataFrame(rows)
    figure, (axis,) = figure_of(title_of(result, "Value ordered by tenth of expected value"))
    for level, width, colour in ((90, 9.0, PALE), (50, 9.0, "#93b4f5")):
        axis.vlines(data["tenth"], data[f"low_{level}"], data[f"high_{level}"], color=colour, linewidth=width)
        axis.plot([], [], color=colour, linewidth=6, label=f"{level} % interval")
    axis.plot(data["tenth"], data["expected"], "_", color=MODEL, markersize=13, markeredgewidth=2, label="expected")
    axis.plot(data["tenth"], data["actual"], "o", color=INK, markersize=5, label="actual")
    money = f", {result.prepared.currency}" if result.prepared.currency else ""
    axis.set(xlabel=f"tenth of customers, highest expected value first\n{told}", xticks=range(1, 11))
    axis.set_ylabel(f"mean value ordered{money} (square-root scale)")
    axis.set_yscale("function", functions=(_root, np.square))  # the first tenth would hide the others
    axis.set_ylim(0, float(data[["high_90", "actual"]].to_numpy().max()) * 1.05 or 1.0)
    axis.legend(frameon=False)
    return figure, data


def _level_errors(result: FitResult) -> tuple[tuple[float, ...], str]:
    """What totals would be off by over the horizon, after the backtest, and where that is from."""
    contest, horizon = result.backtest, result.config.horizon_days
    if contest is None:
        return (), f"intervals: no backtest; totals taken to be off by {USUAL_ERROR:.0%}, as is usual"
    window = contest.window_days
    longer = f", widened by √({horizon}/{window})" if window < horizon else ""
    told = f"intervals: errors of the backtest's totals over {window} days{longer}"
    return contest.total_errors(result.family.name, horizon), told


def frequency_recency_matrix(result: FitResult) -> Drawn:
    """Mean forecast of the holdout's customers by repeat orders and days since the last order; blank where nobody is.

    Made-up customers would need every column that a model knows, and columns that contradict each other mislead it.
    """
    split, scores = result.prepared.splits["holdout"], result.measured.scores
    frequency = split.rows["frequency"].to_numpy(dtype=np.float64)
    silence = (split.rows["T_days"] - split.rows["recency_days"]).to_numpy(dtype=np.float64)
    again = frequency > 0
    column, often = _ranges(frequency, again)
    line, silent = _ranges(silence, again)
    known = scores[["expected_orders", "probability_active"]].reset_index(drop=True)
    known["actual_orders"] = split.outcome["order_days"].to_numpy(dtype=np.float64)
    grouped = known.groupby([line, column])
    means = grouped.mean()
    lines, columns = (means.index.get_level_values(level) for level in (0, 1))
    data = pd.DataFrame(
        {
            "frequency_from": often[columns, 0],
            "frequency_to": often[columns, 1],
            "days_since_last_order_from": silent[lines, 0],
            "days_since_last_order_to": silent[lines, 1],
            "rows": grouped.size().to_numpy(),
            **{name: means[name].to_numpy() for name in means},
        }
    )
    figure, axes = figure_of(title_of(result, "Forecasts by repeat orders and days since the last order"), panels=2)
    panels = (
        ("expected_orders", f"expected order days in {result.config.horizon_days} days", "order days, mean"),
        ("probability_active", "probability of being active", "probability, mean"),
    )
    for axis, (name, title, unit) in zip(axes, panels, strict=True):
        most = 1.0 if name == "probability_active" else float(data[name].max()) or 1.0
        table = np.full((len(silent), len(often)), np.nan)
        table[lines, columns] = data[name]
        picture = axis.imshow(table, cmap="viridis", vmin=0, vmax=most, aspect="auto")
        for i, j, value in zip(lines, columns, data[name], strict=True):
            number = f"{value:.2f}" if value < 10 else f"{value:.1f}"
            colour = INK if value > 0.6 * most else "white"
            axis.text(j, i, number, ha="center", va="center", fontsize=7, color=colour)
        axis.set_xticks(range(len(often)), map(_range, often), fontsize=8)
        axis.set_yticks(range(len(silent)), map(_range, silent), fontsize=8)
        axis.set(xlabel="repeat order days before the cutoff", ylabel="days since the last order", title=title)
        axis.grid(visible=False)
        figure.colorbar(picture, ax=axis, label=unit)
    return figure, data


def _ranges(values: Array, typical: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Range of each whole number, and from where to where they are; those of typical rows fill them about alike."""
    cuts = np.quantile(values[typical if typical.any() else slice(None)], SHARES)
    lows = np.unique(np.floor([values.min(), *cuts])).astype(np.int64)
    highs = np.append(lows[1:] - 1, int(values.max()))
    return np.searchsorted(lows, values, side="right") - 1, np.column_stack([lows, highs])


def _range(ends: npt.NDArray[np.int64]) -> str:
    low, high = ends
    return str(low) if low == high else f"{low}-{high}"


def value_concentration(result: FitResult) -> Drawn:
    """Share of the holdout's value held by the most valuable customers, as ranked before and in hindsight."""
    actual = np.maximum(result.prepared.splits["holdout"].outcome["order_value"].to_numpy(dtype=np.float64), 0.0)
    ranked = {
        "in hindsight": actual,
        "by the model": _value(result.measured.scores),
        "by the baseline": _value(result.baseline.scores),
    }
    share = np.linspace(0, 1, 201)
    held = {name: _held(actual, by, share) for name, by in ranked.items()}
    data = pd.DataFrame({"customers": share, **held})
    figure, (axis,) = figure_of(title_of(result, "How concentrated value is, and how much of it is found"))
    for (name, curve), colour, style in zip(held.items(), (INK, MODEL, RIVAL), ("-", "-", "--"), strict=True):
        fifth = float(np.interp(0.2, share, curve))
        axis.plot(share, curve, style, color=colour, label=f"ranked {name}: {fifth:.0%} in the first fifth")
    axis.plot([0, 1], [0, 1], color=QUIET, linewidth=1.4, linestyle=":", label="in any order: 20% in the first fifth")
    axis.axvline(0.2, color=QUIET, linewidth=1)
    axis.set(
        xlabel="share of customers, most valuable first",
        ylabel=f"share of the value ordered in {result.config.horizon_days} days",
        xlim=(0, 1),
        ylim=(0, 1.01),
    )
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.legend(frameon=False, loc="lower right")
    return figure, data


def one_customer(result: FitResult) -> Drawn:
    """Orders of one customer who comes often, and between what bounds those to come were forecast to lie."""
    known = _timeline(result)
    row = result.prepared.splits["holdout"].rows.iloc[[known.example]].reset_index(drop=True)
    horizons = np.unique(np.linspace(1, result.config.horizon_days, POINTS // 2).round())
    model = copy.copy(result.evaluated.model)
    fans = []
    for horizon in horizons:
        model.set_params(horizon_days=float(horizon))
        fans.append(model.score(row).filter(regex="^expected_orders").assign(day=horizon))
    data = pd.concat(fans, ignore_index=True).rename(columns=lambda name: name.replace("expected_orders_", ""))
    placed = known.example_days
    so_far = int((placed < 0).sum())
    ahead = placed[placed >= 0]
    data["actual"] = np.searchsorted(ahead, data["day"] + result.config.gap_days)
    figure, (axis,) = figure_of(title_of(result, "One customer who orders often"))
    cutoff = _when(result)
    begin = cutoff + result.config.gap_days
    dates = np.concatenate([[begin], begin + data["day"].to_numpy(dtype=np.float64)])
    for level, colour in ((90, PALE), (50, "#93b4f5")):
        low, high = ([so_far, *(so_far + data[f"{side}_{level}"])] for side in ("low", "high"))
        axis.fill_between(dates, low, high, color=colour, linewidth=0, step="pre", label=f"{level} % interval")
    axis.plot(dates, [so_far, *(so_far + data["expected_orders"])], color=MODEL, label="expected")
    steps = np.concatenate([cutoff + placed.astype(np.float64), dates[-1:]])
    axis.step(steps, [*range(1, len(placed) + 1), len(placed)], where="post", color=INK, label="ordered")
    axis.axvline(cutoff, color=QUIET, linewidth=1)
    axis.text(cutoff, 0.01, "cutoff ", transform=axis.get_xaxis_transform(), ha="right", color=RIVAL)
    axis.set(ylabel="order days so far")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylim(bottom=0)
    _date(axis)
    axis.legend(frameon=False, loc="upper left")
    return figure, data


def _timeline(result: FitResult) -> Timeline:
    known = result.prepared.timeline
    assert known is not None, "a holdout of lifetime value comes with its timeline"  # noqa: S101
    return known


def _root(values: Array) -> Array:
    return np.sqrt(np.maximum(values, 0.0))


def _value(scores: pd.DataFrame) -> Array:
    return np.asarray(scores["expected_orders"] * scores["expected_order_value"], dtype=np.float64)


def _held(actual: Array, by: Array, share: Array) -> Array:
    """Share of the actual total that the first customers hold; those ranked alike hold as much each."""
    order = np.argsort(-by, kind="stable")
    _, group = np.unique(-by[order], return_inverse=True)
    alike = np.bincount(group, weights=actual[order]) / np.bincount(group)
    held = np.concatenate([[0.0], np.cumsum(alike[group])])
    return np.asarray(np.interp(share * len(actual), np.arange(len(held)), held / max(held[-1], 1e-12)))


def _short(count: int) -> str:
    return f"{count:,}" if count < 10_000 else f"{count / 1000:,.0f} k"


def _when(result: FitResult) -> float:
    """The cutoff as matplotlib counts days."""
    return float(date2num(result.evaluated.contract.cutoff))  # type: ignore[no-untyped-call]


def _date(axis: Axes) -> None:
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


CLV_PLOTS: Mapping[str, Callable[[FitResult], Drawn]] = {
    "tracking": tracking,
    "expected_and_actual_orders": expected_and_actual_orders,
    "deciles_with_intervals": deciles_with_intervals,
    "value_concentration": value_concentration,
    "one_customer": one_customer,
    "frequency_recency_matrix": frequency_recency_matrix,
}
