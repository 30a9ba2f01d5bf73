"""When the level of predictions can be trusted, not only their order: what grades and the gates of promotion ask."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.families import Task


@dataclass(frozen=True)
class Level:
    """The metric that tells of a task, and the ranges it must lie in.

    Parameters
    ----------
    metric : str
        Its standard name.
    trusted, strictly : tuple of float
        Least and most, both allowed.
    """

    metric: str
    trusted: tuple[float, float]
    strictly: tuple[float, float]

    def holds(self, metrics: Mapping[str, float], *, strictly: bool = False) -> bool:
        """Whether the metric lies in its range."""
        least, most = self.strictly if strictly else self.trusted
        return least <= metrics[self.metric] <= most


_OF_PROBABILITIES = Level("expected_calibration_error", trusted=(0.0, 0.05), strictly=(0.0, 0.03))
LEVELS: Mapping[Task, Level] = {
    "churn": _OF_PROBABILITIES,
    "clv": Level("bias_total_orders", trusted=(-0.25, 0.25), strictly=(-0.15, 0.15)),
    "segments": Level("stability_ari", trusted=(0.6, 1.0), strictly=(0.8, 1.0)),
    "propensity": _OF_PROBABILITIES,
}
