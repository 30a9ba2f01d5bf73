"""Segments found by the system: k-means on days since the last order, frequency and value, k chosen by stability."""

import warnings
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.base import Array, Model, State, plain
from models.errors import ParameterOutOfRange, TooFewRows
from models.segments.base import deviations, log_rfm, squared_distances

MOST_ROWS_TO_CHOOSE = 10_000
MOST_ROWS_FOR_SILHOUETTE = 3_000
RESAMPLES, STARTS_OF_RESAMPLE = 10, 3
LEAST_STABILITY = 0.8
LEAST_SHARE = 0.02


@dataclass(frozen=True)
class Choice:
    """How well the customers fall into k clusters.

    Parameters
    ----------
    clusters : int
        k.
    silhouette : float
        Mean silhouette width, -1 to 1.
    stability : float
        Mean adjusted Rand index between clusterings of resampled customers: 1 is the same clusters again.
    smallest_share : float
        Share of the smallest cluster.
    """

    clusters: int
    silhouette: float
    stability: float
    smallest_share: float


class SegmentsKMeans(Model):
    """k-means on the log scale; of the k whose clusters come back when the customers are resampled, the clearest.

    Parameters
    ----------
    clusters : int, optional
        k; chosen between 3 and `most_clusters` when not given.
    most_clusters : int
        Largest k tried.
    random_state : int
        Seed of starts and resamples.
    """

    def __init__(self, clusters: int | None = None, most_clusters: int = 8, random_state: int = 0) -> None:
        self.clusters = clusters
        self.most_clusters = most_clusters
        self.random_state = random_state

    def fit(self, rows: pd.DataFrame, target: Array | None = None) -> Self:
        """Choose k, fit the centres and name them; see `Model.fit`. Takes no target.

        Raises
        ------
        ParameterOutOfRange
            If fewer than 2 clusters are asked for.
        TooFewRows
            With fewer than 10 customers a cluster, or fewer distinct customers than clusters.
        """
        del target
        for name in ("clusters", "most_clusters"):
            number = getattr(self, name)
            if number is not None and number < 2:
                raise ParameterOutOfRange(name, number, "2 or more")
        needed = 10 * (self.clusters or 3)
        if len(rows) < needed:
            raise TooFewRows("customers", len(rows), needed, "Give a profile with more customers.")
        raw = log_rfm(rows)
        distinct = len(pd.DataFrame(raw).drop_duplicates())
        if distinct < (self.clusters or 2):
            remedy = "Give a profile whose customers differ in days since the last order, frequency or value."
            raise TooFewRows("distinct customers", distinct, self.clusters or 2, remedy)
        self.columns_ = tuple(map(str, rows.columns))
        self.center_ = raw.mean(axis=0)
        spread = raw.std(axis=0)
        self.scale_ = np.where(spread > 1e-9, spread, 1.0)
        points = (raw - self.center_) / self.scale_
        with threadpool_limits(limits=1):  # with more, the last bits depend on the machine, and a busy one stalls
            self.choices_ = () if self.clusters else self._compare(points)
            k = self.clusters or _choose(self.choices_)
            centers = self._cluster(points, k).cluster_centers_
        self.warnings_ = ()
        if not self.clusters and max(choice.stability for choice in self.choices_) < LEAST_STABILITY:
            self.warnings_ = (
                "low evidence: no number of clusters gives the same segments again when customers are resampled; "
                "they cut a continuum and are not groups of their own",
            )
        worth = centers @ np.array([-0.5, 1.0, 1.0])  # the best customers first, so that numbers keep a meaning
        self.centers_ = np.ascontiguousarray(centers[np.argsort(-worth, kind="stable")])
        nearest = np.argmin(squared_distances(points, self.centers_), axis=1)
        self.names_ = tuple(_names(self.centers_ * self.scale_ + self.center_, raw, _spent(raw, nearest, k)))
        return self

    def _cluster(self, points: Array, k: int, starts: int = 10) -> KMeans:
        return KMeans(n_clusters=k, n_init=starts, random_state=self.random_state).fit(points)

    def _compare(self, points: Array) -> tuple[Choice, ...]:
        generator = np.random.default_rng(self.random_state)
        if len(points) > MOST_ROWS_TO_CHOOSE:
            points = points[np.sort(generator.choice(len(points), MOST_ROWS_TO_CHOOSE, replace=False))]
        most = min(self.most_clusters, len(np.unique(points, axis=0)), len(points) // 10)
        few = min(3, most)
        return tuple(self._judge(points, k, generator) for k in range(few, most + 1))

    def _judge(self, points: Array, k: int, generator: np.random.Generator) -> Choice:
        whole = self._cluster(points, k)
        agreements = []
        for _ in range(RESAMPLES):
            resample = points[generator.integers(0, len(points), len(points))]
            with warnings.catch_warnings():  # a resample may hold fewer distinct customers than clusters
                warnings.simplefilter("ignore", ConvergenceWarning)
                again = self._cluster(resample, k, STARTS_OF_RESAMPLE)
            agreements.append(adjusted_rand_score(whole.labels_, again.predict(points)))
        shares = np.bincount(whole.labels_, minlength=k) / len(points)
        sample = min(MOST_ROWS_FOR_SILHOUETTE, len(points))
        width = silhouette_score(points, whole.labels_, sample_size=sample, random_state=self.random_state)
        return Choice(k, float(width), float(np.mean(agreements)), float(np.min(shares)))

    def _nearest(self, rows: pd.DataFrame) -> npt.NDArray[np.int64]:
        points = (log_rfm(rows) - self.center_) / self.scale_
        nearest: npt.NDArray[np.int64] = np.argmin(squared_distances(points, self.centers_), axis=1)
        return nearest

    def score(self, rows: pd.DataFrame) -> pd.DataFrame:
        """`segment_id`, 0 for the most valuable, and `segment`, its name; see `Model.score`."""
        self._check_columns(rows)
        nearest = self._nearest(rows)
        return pd.DataFrame(
            {"segment_id": nearest, "segment": pd.Series([self.names_[i] for i in nearest], dtype="str")}
        )

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """How far each row stands from the average customer, in standard deviations of the log scale."""
        self._check_columns(rows)
        return deviations(log_rfm(rows), self.center_, self.scale_)

    def state(self) -> State:
        """Centres, scale and names as JSON."""
        return State(
            {
                "settings": self.get_params(),
                "columns": list(self.columns_),
                "center": plain(self.center_),
                "scale": plain(self.scale_),
                "centers": plain(self.centers_),
                "names": list(self.names_),
                "choices": [asdict(choice) for choice in self.choices_],
                "warnings": list(self.warnings_),
            }
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        kept: Any = state.parameters
        model = cls(**kept["settings"])
        model.columns_ = tuple(kept["columns"])
        model.center_, model.scale_ = np.array(kept["center"]), np.array(kept["scale"])
        model.centers_ = np.array(kept["centers"])
        model.names_ = tuple(kept["names"])
        model.choices_ = tuple(Choice(**choice) for choice in kept["choices"])
        model.warnings_ = tuple(kept["warnings"])
        return model

    def fitted_parameters(self) -> dict[str, float]:
        """The number of clusters."""
        return {"clusters": float(len(self.centers_))}


def _choose(choices: tuple[Choice, ...]) -> int:
    """The stable k without tiny clusters that has the greatest silhouette; without a stable one, the most stable."""
    good = [c for c in choices if c.stability >= LEAST_STABILITY and c.smallest_share >= LEAST_SHARE]
    if good:
        return max(good, key=lambda choice: (choice.silhouette, -choice.clusters)).clusters
    return max(choices, key=lambda choice: (choice.stability, -choice.clusters)).clusters


def _spent(raw: Array, nearest: npt.NDArray[np.int64], clusters: int) -> Array:
    """What customers of each cluster have spent in all, on average: order days times mean order value."""
    spent = (1 + np.expm1(raw[:, 1])) * np.expm1(raw[:, 2])
    counts = np.bincount(nearest, minlength=clusters)
    return np.asarray(np.bincount(nearest, spent, clusters) / np.maximum(counts, 1))


def _names(centers: Array, population: Array, spent: Array) -> list[str]:
    """Name each cluster by where its centre lies among all customers."""
    longest = float(np.expm1(np.quantile(population[:, 0], 0.95)))
    silent = np.expm1(centers[:, 0]) / max(longest, 1.0)
    names = [_name(float(s), float(repeats)) for s, repeats in zip(silent, np.expm1(centers[:, 1]), strict=True)]
    return [_distinct(i, names, spent) for i in range(len(names))]


def _name(silent: float, repeats: float) -> str:
    """Words for days since the last order, as a share of the longest silence, and for repeat order days."""
    recent, long_ago = silent < 1 / 4, silent > 1 / 2
    if repeats < 0.5:
        return "New" if recent else "One-time"
    if repeats >= 4 and not long_ago:
        return "Champions" if recent else "Slipping champions"
    return "Loyal" if recent else "Lapsed" if long_ago else "Slipping"


def _distinct(i: int, names: list[str], spent: Array) -> str:
    """Tell clusters of one name apart by what their customers have spent in all; a number settles ties.

    Not by the value of an order: who orders twice as often for a little less is worth more.
    """
    rivals = [j for j, other in enumerate(names) if other == names[i]]
    if len(rivals) == 1:
        return names[i]
    place = sorted(rivals, key=lambda j: (-spent[j], j)).index(i)
    words = {2: ("higher spend", "lower spend"), 3: ("higher spend", "medium spend", "lower spend")}.get(len(rivals))
    return f"{names[i]}, {words[place] if words else f'spend {place + 1} of {len(rivals)}'}"
