"""How well predicted uplift orders customers, on an experiment: Qini and AUUC, each by one definition.

Customers of a randomised experiment are ordered by predicted uplift, highest first. Among the first k of n, let N and R
be the number and the summed outcome of the treated (T) and of the control (C).

- **Qini curve** (Radcliffe 2007): ``(R_T - R_C N_T / N_C) / N_T(n)``, what treating the first k brings, per treated
  customer of the whole experiment. The **Qini coefficient** is the area between it and the straight line to its end,
  over the share k / n: 0 for an order by chance.
- **AUUC** (Gutierrez and Gérardy 2017): the area under ``(R_T / N_T - R_C / N_C) k / n`` over the share k / n. An order
  by chance has half of the average effect.

While one of the groups is still empty its mean counts as 0. Customers with the same predicted uplift come together, and
the curves are straight between the points that are left. Both are in units of the outcome.

References
----------
Radcliffe, N. J. (2007). Using Control Groups to Target on Predicted Lift. Direct Marketing Analytics Journal, 14-21;
Gutierrez, P. and Gérardy, J.-Y. (2017). Causal Inference and Uplift Modelling: A Review of the Literature. PMLR 67, on
evaluation.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.base import Array

Places = npt.NDArray[np.int64]
DRAWS = 400


@dataclass(frozen=True)
class Estimate:
    """A figure with its central 90 % bootstrap interval."""

    value: float
    low_90: float
    high_90: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies to one side of 0."""
        return self.low_90 > 0 or self.high_90 < 0


@dataclass(frozen=True)
class UpliftCurves:
    """The curves from nobody to everybody.

    Parameters
    ----------
    share, qini, gain : ndarray of shape (k,)
        Share of the customers, Radcliffe's curve, and that of Gutierrez and Gérardy.
    """

    share: Array
    qini: Array
    gain: Array

    @property
    def qini_coefficient(self) -> float:
        """Area between the Qini curve and the line to its end."""
        return float(np.trapezoid(self.qini, self.share) - self.qini[-1] / 2)

    @property
    def auuc(self) -> float:
        """Area under the curve of Gutierrez and Gérardy."""
        return float(np.trapezoid(self.gain, self.share))

    @property
    def effect(self) -> float:
        """Average effect of treating everybody."""
        return float(self.gain[-1])


def uplift_curves(uplift: Array, outcome: Array, treated: Array, weight: Array | None = None) -> UpliftCurves:
    """Draw the curves.

    Parameters
    ----------
    uplift : ndarray of shape (n,)
        Predicted.
    outcome : ndarray of shape (n,)
        What happened.
    treated : ndarray of shape (n,)
        1 or 0, by lot.
    weight : ndarray of shape (n,), optional
        How often each row counts.

    Returns
    -------
    UpliftCurves
        In units of the outcome.
    """
    order = np.argsort(-uplift, kind="stable")
    ranked = uplift[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    weighed = np.ones(len(uplift)) if weight is None else weight
    columns = (weighed * treated, weighed * (1 - treated))
    numbers = [np.append(0.0, np.cumsum(each[order])[ends]) for each in columns]
    sums = [np.append(0.0, np.cumsum((each * outcome)[order])[ends]) for each in columns]
    means = [np.divide(s, n, out=np.zeros_like(s), where=n > 0) for s, n in zip(sums, numbers, strict=True)]
    share = (numbers[0] + numbers[1]) / weighed.sum()
    qini = (sums[0] - means[1] * numbers[0]) / max(numbers[0][-1], 1.0)
    return UpliftCurves(share, qini, (means[0] - means[1]) * share)


def uplift_estimates(
    uplift: Array, outcome: Array, treated: Array, customer: Places, random_state: int = 0
) -> dict[str, Estimate]:
    """Qini coefficient, AUUC and average effect, with intervals from customers drawn again and again.

    Parameters
    ----------
    uplift, outcome, treated
        See `uplift_curves`.
    customer : ndarray of shape (n,)
        Whose row it is, counted from 0; all rows of a customer are drawn together.
    random_state : int
        Seed.

    Returns
    -------
    dict of str to Estimate
        `qini`, `auuc`, `effect`. The interval is that of the given order. It holds for an order that was learned from
        other customers; of one by cross-validation, whose parts learn from each other, it is too short: see
        `training.uplift.place_forward`.
    """
    found = uplift_curves(uplift, outcome, treated)
    generator, count = np.random.default_rng(random_state), int(customer.max()) + 1
    order = np.argsort(-uplift, kind="stable")  # once: what is in order already is ordered again in no time
    facts, customer = (uplift[order], outcome[order], treated[order]), customer[order]
    drawn = []
    for _ in range(DRAWS):
        weight = np.bincount(generator.integers(0, count, count), minlength=count)[customer].astype(np.float64)
        curves = uplift_curves(*facts, weight)
        drawn.append((curves.qini_coefficient, curves.auuc, curves.effect))
    low, high = np.quantile(np.array(drawn), [0.05, 0.95], axis=0)
    values = (found.qini_coefficient, found.auuc, found.effect)
    names = ("qini", "auuc", "effect")
    return {name: Estimate(values[i], float(low[i]), float(high[i])) for i, name in enumerate(names)}
