"""MBG/NBD: BG/NBD in which a customer may also leave right after the first order.

So a silent customer with one order is not active for sure, as BG/NBD says, but less and less likely so. All else is
BG/NBD with one more chance to drop out.

References
----------
.. [1] Batislam, E. P., Denizel, M. and Filiztekin, A. (2007). Empirical validation and comparison of models for
   customer base analysis. International Journal of Research in Marketing 24(3), 201-209.
.. [2] Wagner, U. and Hoppe, D. (2008). Erratum on the MBG/NBD Model. International Journal of Research in Marketing
   25(3), 225-226.
"""

from dataclasses import dataclass
from typing import ClassVar

from models.clv.histories import Histories
from models.clv.orders.base import fit_or_penalise
from models.clv.orders.bgnbd import BgNbd


@dataclass(frozen=True)
class MbgNbd(BgNbd):
    """The fitted distribution of ordering and dropping out, with dropout possible after the first order.

    Parameters
    ----------
    r, alpha, a, b, log_covariance
        See `models.clv.orders.bgnbd.BgNbd`.
    """

    kind: ClassVar[str] = "mbgnbd"
    title: ClassVar[str] = "MBG/NBD"
    early: ClassVar[float] = 1.0


def fit_mbgnbd(histories: Histories, penalty: float = 0.0) -> tuple[MbgNbd, tuple[str, ...]]:
    """Fit as `models.clv.orders.bgnbd.fit_bgnbd` does."""
    return fit_or_penalise(MbgNbd, histories, penalty)
