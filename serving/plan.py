"""The plan: which customers to contact, with which action, and whom of them to hold back as a control group."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.instants import write_instant
from models.base import Array
from models.clv.equity import NORMAL
from models.decision.allocate import NOBODY, Allocation, allocate
from models.decision.offer import Effect
from models.decision.profit import profit_curve
from serving.control_group import hold_back
from serving.errors import ScoresUnfit
from serving.expression import Expression
from serving.plan_config import Action, PlanConfig
from serving.plan_source import Customers

PROBABILITY, DEVIATION = "probability_churned", "clv_standard_deviation"
REASONS, CHANGES = "churn_reasons", "churn_what_would_change"
SHARES = ("probability_churned", "break_even_probability", "effect")
TREATMENT, CONTROL = "treatment", "control"
UPLIFT_FROM = "a profile (not on Spark), and a campaign from which patron uplift learned whom contacts change"
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Who is contacted how.

    Parameters
    ----------
    contacts : pyarrow.Table
        One row a customer on the list, the most profitable first: `customer_id`, `group` (treatment or control: not to
        be contacted), `action`, `channel`, `reasons`, `what_would_change` (an association, as it says),
        `expected_profit`, `highest_cost` (if the offer is taken), `value`, `probability_churned`,
        `break_even_probability` (from which the action pays; null where its effect is learned), `effect` (what a
        contact changes in the probability of staying), `plan`, `prediction_time`.
    summary : dict
        What was considered, chosen and left out, as plain data.
    """

    contacts: pa.Table
    summary: dict[str, Any]


@dataclass(frozen=True)
class _Considered:
    """Customers who may be contacted, with what contacting them is about; rows count within `rows`."""

    rows: pd.DataFrame
    places: Places
    probability: Array
    value: Array
    deviation: Array
    effects: tuple[Effect, ...]


def make_plan(customers: Customers, config: PlanConfig) -> Plan:
    """Choose the contacts that are expected to bring most within the budget and the rules.

    Parameters
    ----------
    customers : Customers
        Scored.
    config : PlanConfig
        What may be done.

    Returns
    -------
    Plan
        The same customers and plan give the same list, and the same control group.

    Raises
    ------
    ScoresUnfit
        If there is no calibrated probability of leaving, or nothing tells what a customer is worth.
    ExpressionInvalid
        If a condition or a formula does not fit the columns.
    """
    considered, excluded = _considered(customers, config)
    eligible = np.column_stack([_eligible(action.eligible, considered.rows) for action in config.actions])
    p, value = considered.probability, considered.value
    profit = np.column_stack(
        [a.offer.profit(p, value, effect) for a, effect in zip(config.actions, considered.effects, strict=True)]
    )
    chosen = allocate(np.where(eligible, profit, -np.inf), *_limits(config, len(considered.rows)))
    listed = np.flatnonzero(chosen.choice != NOBODY)
    gains = profit[listed, chosen.choice[listed]]
    listed = listed[np.argsort(-gains, kind="stable")]
    rate, *effects = _hoped(config, considered, listed, chosen)
    is_control, control = hold_back(considered.rows["customer_id"].to_numpy()[listed], config, rate, *effects)
    treated = listed[~is_control]
    summary = {
        "plan": config.name,
        "prediction_time": write_instant(customers.prediction_time),
        "is_simulated": customers.is_simulated,
        "currency": customers.currency,
        "customers": len(customers.table),
        "considered": len(considered.rows),
        "excluded_by_reason": excluded,
        "listed": len(listed),
        "contacts": len(treated),
        **_total(config, considered, chosen, treated),
        "budget": config.budget,
        "profit_of_list": round(chosen.profit, 2),
        "bound_of_list": round(chosen.bound, 2),
        "gap": chosen.gap,
        "control": control,
        "actions": _actions(config, considered, eligible, chosen, treated, listed),
    }
    return Plan(_list(customers, config, considered, chosen, listed, is_control), summary)


def _considered(customers: Customers, config: PlanConfig) -> tuple[_Considered, dict[str, int]]:
    """The customers left once the rules have left some alone, and how many they left alone, by the first reason."""
    names = set(customers.table.column_names)
    if PROBABILITY not in names:
        raise ScoresUnfit(customers.source, [PROBABILITY], "scores with a champion for churn")
    value = Expression(config.value)
    if lacking := [name for name in value.names if name not in names]:
        raise ScoresUnfit(customers.source, lacking, "scores with every column of `value`; clv has a champion's")
    rules = config.rules
    formulas = [value, *(Expression(text) for text in (rules.exclude, *(a.eligible for a in config.actions)) if text)]
    wanted = {"customer_id", PROBABILITY, DEVIATION, *(name for formula in formulas for name in formula.names)}
    rows = customers.table.select([name for name in customers.table.column_names if name in wanted]).to_pandas()
    ids, worth = rows["customer_id"], value.amount(rows)
    reasons: dict[str, Flags] = {
        "excluded by id": ids.isin(set(rules.exclude_customers)).to_numpy(),
        "excluded by condition": Expression(rules.exclude).where(rows) if rules.exclude else np.zeros(len(rows), bool),
        f"contacted in the last {rules.quiet_days} days": ids.isin(customers.contacted).to_numpy(),
        "without a probability or a value": np.isnan(worth) | rows[PROBABILITY].isna().to_numpy(),
    }
    left, excluded = np.ones(len(rows), dtype=bool), {}
    for reason, applies in reasons.items():
        if tally := int((left & applies).sum()):
            excluded[reason] = tally
        left &= ~applies
    places = np.flatnonzero(left)
    rows = rows.iloc[places].reset_index(drop=True)
    spread = rows[DEVIATION].fillna(0.0).to_numpy(dtype=np.float64) if DEVIATION in rows else np.zeros(len(rows))
    p = rows[PROBABILITY].to_numpy(dtype=np.float64)
    effects = tuple(_effect(action, customers, places, p, worth[places]) for action in config.actions)
    return _Considered(rows, places, p, worth[places], spread, effects), excluded


def _effect(action: Action, customers: Customers, places: Places, probability: Array, value: Array) -> Effect:
    """What an action changes, by its success rate or as a campaign has shown."""
    if action.success is not None:
        return Effect.of_rate(action.success, probability)
    learned = customers.learned.get(action.name)
    if learned is None:
        raise ScoresUnfit(customers.source, [f"what {action.name!r} changes"], UPLIFT_FROM)
    found = learned.kept.found
    if found["verdict"] != "targets":
        raise ScoresUnfit(customers.source, [f"what {action.name!r} changes: {found['words']}"], UPLIFT_FROM)
    effect = found["effect"]
    error = (effect["high_90"] - effect["low_90"]) / (2 * NORMAL[90])
    mine = learned.uplift[places]
    if found["outcome"] == "order":
        return Effect(mine, np.ones(len(mine)), error**2)
    share = np.divide(1.0, value, out=np.zeros_like(value), where=value > 0)  # of a kept customer, by margin
    return Effect(mine * share, share, error**2)


def _eligible(condition: str, rows: pd.DataFrame) -> Flags:
    return Expression(condition).where(rows) if condition else np.ones(len(rows), dtype=bool)


def _limits(config: PlanConfig, rows: int) -> tuple[Array, Array]:
    """What each action uses of the budget and of each channel's contacts, and how much there is."""
    uses, limits = [], []
    if config.budget is not None:
        uses.append([action.offer.highest_cost for action in config.actions])
        limits.append(config.budget)
    for name, channel in config.channels.items():
        uses.append([float(action.channel == name) for action in config.actions])
        limits.append(float(channel.maximum_contacts))
    use = np.array(uses, dtype=np.float64).reshape(len(uses), 1, len(config.actions))
    return np.broadcast_to(use, (len(uses), rows, len(config.actions))), np.array(limits)


def _hoped(
    config: PlanConfig, considered: _Considered, listed: Places, chosen: Allocation
) -> tuple[float, float, float]:
    """Churn rate of the list without any contact, by how much it is hoped to fall, and by how much the actions say."""
    if not len(listed):
        return 0.0, 0.0, 0.0
    rate = float(considered.probability[listed].mean())
    kept = np.array([effect.kept for effect in considered.effects])[chosen.choice[listed], listed]
    return rate, min(config.control.effect or float(kept.mean()), rate), float(kept.mean())


def _total(config: PlanConfig, considered: _Considered, chosen: Allocation, treated: Places) -> dict[str, float]:
    """Profit and cost of the contacts together, with a 90 % interval."""
    expected = cost = highest = variance = 0.0
    gains = []
    for at, (action, effects) in enumerate(zip(config.actions, considered.effects, strict=True)):
        mine = treated[chosen.choice[treated] == at]
        if not len(mine):
            continue
        p, value, offer, effect = considered.probability[mine], considered.value[mine], action.offer, effects.of(mine)
        expected += float(offer.profit(p, value, effect).sum())
        cost += offer.contact_cost.mean * len(mine) + offer.offer_cost.mean * float(offer.takers(p, effect).sum())
        highest += offer.highest_cost * len(mine)
        gains.append(config.value_error * float((effect.kept * value).sum()))
        variance += float(offer.level_variance(p, value, effect, config.value_error)[-1])
        variance += float(offer.chance_variance(p, value, considered.deviation[mine], effect).sum())
    variance += sum(gains) ** 2 - sum(gain**2 for gain in gains)  # the level of values is one for all actions
    reach = NORMAL[90] * math.sqrt(max(variance, 0.0))
    figures = {
        "expected_profit": expected,
        "expected_profit_low_90": expected - reach,
        "expected_profit_high_90": expected + reach,
        "expected_cost": cost,
        "highest_cost": highest,
    }
    return {name: round(figure, 2) for name, figure in figures.items()}


def _actions(
    config: PlanConfig,
    considered: _Considered,
    eligible: Flags,
    chosen: Allocation,
    treated: Places,
    listed: Places,
) -> list[dict[str, Any]]:
    """What each action would do alone and without limits, and what it does in the plan."""
    found = []
    for at, action in enumerate(config.actions):
        mine = eligible[:, at]
        p, value = considered.probability[mine], considered.value[mine]
        effect = considered.effects[at].of(mine)
        score = effect.kept if action.uplift else p
        curve = profit_curve(score, p, value, action.offer, effect, config.value_error)
        best = curve.best
        threshold = float(curve.threshold[best])
        found.append(
            {
                "action": action.name,
                "channel": action.channel,
                "eligible": int(mine.sum()),
                "pays_for": int((action.offer.profit(p, value, effect) > 0).sum()),
                "alone": {
                    "ranked_by": "uplift" if action.uplift else PROBABILITY,
                    "threshold": threshold if math.isfinite(threshold) else None,
                    "share": float(curve.share[best]),
                    "profit": round(float(curve.profit[best]), 2),
                    "profit_low_90": round(float(curve.low_90[best]), 2),
                    "profit_high_90": round(float(curve.high_90[best]), 2),
                },
                "contacts": int((chosen.choice[treated] == at).sum()),
                "control": int((chosen.choice[listed] == at).sum() - (chosen.choice[treated] == at).sum()),
            }
        )
    return found


def _list(
    customers: Customers,
    config: PlanConfig,
    considered: _Considered,
    chosen: Allocation,
    listed: Places,
    is_control: Flags,
) -> pa.Table:
    action = chosen.choice[listed]
    p, value = considered.probability[listed], considered.value[listed]
    per_action: Mapping[str, list[Any]] = {
        "action": [each.name for each in config.actions],
        "channel": [each.channel for each in config.actions],
        "highest_cost": [each.offer.highest_cost for each in config.actions],
    }
    effects = [effect.of(listed) for effect in considered.effects]
    profits = np.array([a.offer.profit(p, value, e) for a, e in zip(config.actions, effects, strict=True)])
    least = np.array(
        [a.offer.break_even(value, a.success) if a.success else np.full(len(p), np.nan) for a in config.actions]
    )
    kept = np.array([effect.kept for effect in effects])
    own = np.arange(len(listed))
    rows = customers.table.take(pa.array(considered.places[listed]))
    told = customers.tell(rows) if customers.tell and len(listed) else rows
    columns: dict[str, Any] = {
        "customer_id": rows["customer_id"],
        "group": pa.array(np.where(is_control, CONTROL, TREATMENT).tolist(), pa.string()),
        "action": pa.array([per_action["action"][at] for at in action], pa.string()),
        "channel": pa.array([per_action["channel"][at] for at in action], pa.string()),
        "reasons": _words(told, REASONS),
        "what_would_change": _words(told, CHANGES),
        "expected_profit": pa.array(profits[action, own]),
        "highest_cost": pa.array([per_action["highest_cost"][at] for at in action], pa.float64()),
        "value": pa.array(value),
        "probability_churned": pa.array(p),
        "break_even_probability": pa.array(least[action, own], from_pandas=True),
        "effect": pa.array(kept[action, own]),
        "plan": pa.array([config.name] * len(listed), pa.string()),
        "prediction_time": rows["prediction_time"],
    }
    return pa.table(columns)


def _words(rows: pa.Table, name: str) -> pa.Array:
    """What rows were told, as one text each."""
    told = rows[name].to_pylist() if name in rows.column_names else [None] * len(rows)
    return pa.array(["; ".join(each["text"] for each in texts or []) for texts in told], pa.string())


def for_people(contacts: pa.Table) -> pa.Table:
    """A list as a spreadsheet shows it best: money in cents, probabilities to four digits, times as ISO 8601."""
    columns = {}
    for name in contacts.column_names:
        column = contacts[name]
        if pa.types.is_floating(column.type):
            columns[name] = pc.round(column, 4 if name in SHARES else 2)
        elif pa.types.is_timestamp(column.type):
            columns[name] = pc.strftime(column.cast(pa.timestamp("s", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
        else:
            columns[name] = column
    return pa.table(columns)
