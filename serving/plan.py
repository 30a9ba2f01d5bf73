"""The plan: which customers to contact, with which action, and whom of them to hold back as a control group."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.instants import write_instant
from models.base import Array
from models.clv.equity import NORMAL
from models.decision.allocate import NOBODY, Allocation, allocate
from models.decision.power import control_size, detectable_effect, power
from models.decision.profit import profit_curve
from serving.errors import ScoresUnfit
from serving.expression import Expression
from serving.plan_config import Control, PlanConfig
from serving.plan_source import Customers

PROBABILITY, DEVIATION, REASONS = "probability_churned", "clv_standard_deviation", "churn_reasons"
TREATMENT, CONTROL = "treatment", "control"
TEST = "z test of two proportions, pooled, two-sided (Fleiss, Levin and Paik 2003, sections 4.2 to 4.4)"
NO_CONTROL = "no control group: what the contacts change cannot be known afterwards"
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """Who is contacted how.

    Parameters
    ----------
    contacts : pyarrow.Table
        One row a customer on the list, the most profitable first: `customer_id`, `plan`, `prediction_time`, `group`
        (treatment or control: not to be contacted), `action`, `channel`, `expected_profit`, `highest_cost` (if the
        offer is taken), `probability_churned`, `break_even_probability` (from which the action pays), `value`,
        `reasons`.
    summary : dict
        What was considered, chosen and left out, as plain data.
    """

    contacts: pa.Table
    summary: dict[str, Any]


@dataclass(frozen=True)
class _Considered:
    """Customers who may be contacted, with what contacting them is about; rows count within `rows`."""

    rows: pd.DataFrame
    places: npt.NDArray[np.int64]
    probability: Array
    value: Array
    deviation: Array


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
    profit = np.column_stack(
        [action.offer.profit(considered.probability, considered.value) for action in config.actions]
    )
    chosen = allocate(np.where(eligible, profit, -np.inf), *_limits(config, len(considered.rows)))
    listed = np.flatnonzero(chosen.choice != NOBODY)
    gains = profit[listed, chosen.choice[listed]]
    listed = listed[np.argsort(-gains, kind="stable")]
    rate, effect = _hoped(config, considered, listed, chosen)
    is_control, control = hold_back(considered.rows["customer_id"].to_numpy()[listed], config, rate, effect)
    treated = listed[~is_control]
    summary = {
        "plan": config.name,
        "prediction_time": write_instant(customers.prediction_time),
        "is_simulated": customers.is_simulated,
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
    return _Considered(rows, places, rows[PROBABILITY].to_numpy(dtype=np.float64), worth[places], spread), excluded


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
    config: PlanConfig, considered: _Considered, listed: npt.NDArray[np.int64], chosen: Allocation
) -> tuple[float, float]:
    """Churn rate of the list without any contact, and by how much it is hoped to fall."""
    if not len(listed):
        return 0.0, 0.0
    probability = considered.probability[listed]
    success = np.array([action.success_rate.mean for action in config.actions])[chosen.choice[listed]]
    rate = float(probability.mean())
    return rate, min(config.control.effect or float((probability * success).mean()), rate)


def hold_back(ids: Iterable[str], config: PlanConfig, rate: float, effect: float) -> tuple[Flags, dict[str, Any]]:
    """Draw the control group from the list by a hash of customer, plan and seed.

    Parameters
    ----------
    ids : iterable of str
        Customers on the list.
    config : PlanConfig
        With `name`, `seed` and `control`.
    rate, effect : float
        Churn rate of the list without any contact, and by how much it is hoped to fall.

    Returns
    -------
    tuple of ndarray of shape (n,) and dict
        Who is held back; and what with so many can be seen.
    """
    places = np.array([_lot(config, each) for each in ids], dtype=np.float64)
    count, wanted = len(places), config.control
    most = math.floor(wanted.maximum_share * count)
    needed = control_size(count, rate, rate - effect, wanted.power, wanted.significance)
    size = most if needed is None else min(needed, most)
    held = np.zeros(count, dtype=bool)
    held[np.argsort(places, kind="stable")[:size]] = True
    return held, _control_facts(wanted, count, size, needed, rate, effect)


def _control_facts(
    wanted: Control, count: int, size: int, needed: int | None, rate: float, effect: float
) -> dict[str, Any]:
    treated = count - size
    found = power(rate, rate - effect, size, treated, wanted.significance) if min(size, treated) else 0.0
    if not size:
        note = NO_CONTROL
    elif needed is None or needed > size:
        note = f"too few customers to see the effect with a power of {wanted.power:g}"
        if needed is not None:
            note = f"the effect takes {needed:,} customers; maximum_share allows {size:,}"
    else:
        note = "as many as the effect takes"
    return {
        "customers": size,
        "needed": needed,
        "churn_rate": rate,
        "effect": effect,
        "power": found,
        "significance": wanted.significance,
        "detectable_effect": detectable_effect(rate, size, treated, wanted.power, wanted.significance),
        "test": TEST,
        "note": note,
    }


def _lot(config: PlanConfig, customer_id: str) -> float:
    digest = hashlib.sha256(f"{config.name}\n{config.seed}\n{customer_id}".encode()).digest()
    return float(int.from_bytes(digest[:8], "big"))


def _total(
    config: PlanConfig, considered: _Considered, chosen: Allocation, treated: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Profit and cost of the contacts together, with a 90 % interval."""
    expected = cost = highest = variance = 0.0
    gains = []
    for at, action in enumerate(config.actions):
        mine = treated[chosen.choice[treated] == at]
        p, value, offer = considered.probability[mine], considered.value[mine], action.offer
        expected += float(offer.profit(p, value).sum())
        cost += offer.contact_cost.mean * len(mine) + offer.offer_cost.mean * float(offer.takers(p).sum())
        highest += offer.highest_cost * len(mine)
        worth = (p * value).sum()
        gains.append(config.value_error * offer.success.mean * worth)
        variance += float(offer.level_variance(p.sum(), worth, float(len(mine)), config.value_error))
        variance += float(offer.chance_variance(p, value, considered.deviation[mine]).sum())
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
    treated: npt.NDArray[np.int64],
    listed: npt.NDArray[np.int64],
) -> list[dict[str, Any]]:
    """What each action would do alone and without limits, and what it does in the plan."""
    found = []
    for at, action in enumerate(config.actions):
        mine = eligible[:, at]
        p, value = considered.probability[mine], considered.value[mine]
        curve = profit_curve(p, p, value, action.offer, config.value_error)
        best = curve.best
        threshold = float(curve.threshold[best])
        found.append(
            {
                "action": action.name,
                "channel": action.channel,
                "eligible": int(mine.sum()),
                "alone": {
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
    listed: npt.NDArray[np.int64],
    is_control: Flags,
) -> pa.Table:
    action = chosen.choice[listed]
    p, value = considered.probability[listed], considered.value[listed]
    per_action: Mapping[str, list[Any]] = {
        "action": [each.name for each in config.actions],
        "channel": [each.channel for each in config.actions],
        "highest_cost": [each.offer.highest_cost for each in config.actions],
    }
    profits = np.array([each.offer.profit(p, value) for each in config.actions]).reshape(len(config.actions), -1)
    least = np.array([each.offer.break_even(value) for each in config.actions]).reshape(len(config.actions), -1)
    own = np.arange(len(listed))
    rows = customers.table.take(pa.array(considered.places[listed]))
    said = rows[REASONS].to_pylist() if REASONS in rows.column_names else [[]] * len(listed)
    texts = [
        pa.array([words[at] for at in action], pa.string()) for words in (per_action["action"], per_action["channel"])
    ]
    return pa.table(
        {
            "customer_id": rows["customer_id"],
            "plan": pa.array([config.name] * len(listed), pa.string()),
            "prediction_time": rows["prediction_time"],
            "group": pa.array(np.where(is_control, CONTROL, TREATMENT).tolist(), pa.string()),
            "action": texts[0],
            "channel": texts[1],
            "expected_profit": pa.array(profits[action, own]),
            "highest_cost": pa.array([per_action["highest_cost"][at] for at in action], pa.float64()),
            "probability_churned": pa.array(p),
            "break_even_probability": pa.array(least[action, own]),
            "value": pa.array(value),
            "reasons": pa.array(["; ".join(reason["text"] for reason in each or []) for each in said], pa.string()),
        }
    )
