"""The control group of a plan: drawn by a hash, as large as the effect that is hoped for takes."""

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from models.decision.power import control_size, detectable_effect, power
from serving.plan_config import Control, PlanConfig

Flags = npt.NDArray[np.bool_]
TEST = "z test of two proportions, pooled, two-sided (Fleiss, Levin and Paik 2003, sections 4.2 to 4.4)"
NO_CONTROL = "no control group: what the contacts change cannot be known afterwards"


def hold_back(
    ids: Iterable[str], config: PlanConfig, rate: float, effect: float, expected: float
) -> tuple[Flags, dict[str, Any]]:
    """Draw the control group from the list by a hash of customer, plan and seed.

    Parameters
    ----------
    ids : iterable of str
        Customers on the list.
    config : PlanConfig
        With `name`, `seed` and `control`.
    rate, effect : float
        Churn rate of the list without any contact, and by how much it is hoped to fall.
    expected : float
        By how much it falls if the actions do what the plan says of them.

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
    return held, _control_facts(wanted, count, size, needed, rate, effect) | {"expected_effect": expected}


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
