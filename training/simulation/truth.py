"""The parameters that simulated customers are drawn from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Truth:
    """What the simulated customers are drawn from.

    Parameters
    ----------
    r, alpha, a, b : float
        BG/NBD, time in days.
    p, q, v : float
        Gamma-Gamma, in currency.
    dropout_on_satisfaction : float
        Correlation of satisfaction with the (negative) dropout score, 0 to 1.
    contacts_a_year, contacts_on_satisfaction : float
        Support contacts of a customer of average satisfaction, and how they fall with it on the log scale.
    days, joining_days : int
        Length of the history, and of its first part in which customers join.
    """

    r: float = 0.9
    alpha: float = 22.0
    a: float = 0.8
    b: float = 3.2
    p: float = 6.0
    q: float = 4.0
    v: float = 15.0
    dropout_on_satisfaction: float = 0.6
    contacts_a_year: float = 2.0
    contacts_on_satisfaction: float = 0.7
    days: int = 730
    joining_days: int = 540
