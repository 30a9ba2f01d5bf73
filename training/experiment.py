"""The rows of a randomised campaign: who was contacted, who was held back, what was known before and what followed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.catalogue import CHURN
from features.engine.builder import available, build_features
from features.errors import UnknownName
from features.instants import DAY_US, from_us, to_us
from features.profile import Profile
from features.snapshot import instants_as_whole, make_snapshot
from features.spec import FeatureSet
from models.base import Array
from models.errors import ParameterOutOfRange, TooFewRows
from training.errors import NoExperiment
from training.rows.keyed import keyed_frame

OUTCOMES = ("order", "margin")
INSTANTS = 6
"""At how many instants features are built, at most: of each row at the last one before its contact."""
LEAST_ROWS = 50


@dataclass(frozen=True)
class ExperimentConfig:
    """Which experiment, and what of it.

    Parameters
    ----------
    campaign : str, optional
        By default every campaign with a control group.
    horizon_days : int
        How long after the contact the outcome is counted.
    outcome : {"order", "margin"}
        Whether there was an order, or what the orders brought: their `margin_value`, less that of what was given back.
        An order without one counts with its value at the margin rate of the orders that have one, with its whole value
        where none has.
    random_state : int
        Seed.

    Raises
    ------
    ParameterOutOfRange
        If a value makes no sense.
    """

    campaign: str | None = None
    horizon_days: int = 90
    outcome: str = "order"
    random_state: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not 1 <= self.horizon_days <= 3650:
            raise ParameterOutOfRange("horizon_days", self.horizon_days, "1 to 3650")
        if self.outcome not in OUTCOMES:
            raise ParameterOutOfRange("outcome", self.outcome, " or ".join(OUTCOMES))


@dataclass(frozen=True)
class Experiment:
    """One row a customer and campaign.

    Parameters
    ----------
    rows : pandas.DataFrame
        Features as known before the contact.
    features : FeatureSet
        Its columns.
    treated, outcome : ndarray of shape (n,)
        1 where contacted, 0 where held back; what followed.
    customer : ndarray of shape (n,)
        Whose row it is, counted from 0.
    campaigns : mapping of str to int
        Rows of each campaign.
    dropped : mapping of str to int
        Rows left out, by reason.
    absent : mapping of str to str
        Features that the profile cannot give.
    """

    rows: pd.DataFrame = field(repr=False)
    features: FeatureSet
    treated: Array
    outcome: Array
    customer: npt.NDArray[np.int64]
    campaigns: Mapping[str, int]
    dropped: Mapping[str, int]
    absent: Mapping[str, str]


def read_experiment(profile: Profile, config: ExperimentConfig) -> Experiment:
    """Lay out an experiment.

    Parameters
    ----------
    profile : Profile
        With `campaigns` and `orders`.
    config : ExperimentConfig
        Which campaign, horizon and outcome.

    Returns
    -------
    Experiment
        Features of a row are as known at the last instant, of at most `INSTANTS`, before its contact; its outcome lies
        in ``[event_time, event_time + horizon)``.

    Raises
    ------
    NoExperiment
        If nobody was held back.
    UnknownName
        If there is no such campaign.
    TooFewRows
        If there are too few customers in either group.
    """
    drawn, dropped = _assignments(profile, config.campaign)
    over = drawn["event_us"] + config.horizon_days * DAY_US <= to_us(profile.known_until)
    drawn, dropped["the horizon is not over yet"] = drawn[over].reset_index(drop=True), int((~over).sum())
    _require_rows(drawn)
    found = available(profile, CHURN)
    drawn["prediction_us"] = _instants(drawn["event_us"].to_numpy())
    times = [from_us(int(each)) for each in sorted(drawn["prediction_us"].unique())]
    keys, features = keyed_frame(build_features(profile, found.features, times), found.features)
    known = pd.MultiIndex.from_arrays([keys["customer_id"], _micros(keys["prediction_time"])])
    place = known.get_indexer(pd.MultiIndex.from_frame(drawn[["customer_id", "prediction_us"]]))
    dropped["not yet known before the campaign"] = int((place < 0).sum())
    drawn = drawn[place >= 0].reset_index(drop=True)
    _require_rows(drawn)
    return Experiment(
        rows=features.iloc[place[place >= 0]].reset_index(drop=True),
        features=found.features,
        treated=1.0 - drawn["is_control"].to_numpy(dtype=np.float64),
        outcome=_outcomes(profile, drawn, config),
        customer=np.unique(drawn["customer_id"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64),
        campaigns={str(name): int(count) for name, count in drawn["campaign_id"].value_counts().sort_index().items()},
        dropped={reason: count for reason, count in dropped.items() if count},
        absent=found.absent,
    )


def _micros(instants: "pd.Series[Any]") -> npt.NDArray[np.int64]:
    return np.asarray(instants.dt.tz_convert(None).to_numpy(dtype="datetime64[us]")).astype(np.int64)


def _assignments(profile: Profile, campaign: str | None) -> tuple[pd.DataFrame, dict[str, int]]:
    """Customers of campaigns that held some back, each once a campaign, with the instant of the contact."""
    if not profile.has("campaigns"):
        raise NoExperiment(profile.source, "there are no campaigns")
    if not profile.has("campaigns", "is_control"):
        raise NoExperiment(profile.source, "campaigns have no is_control")
    table: Any = instants_as_whole(profile.tables["campaigns"], profile.backend.name)
    once = table.group_by(["customer_id", "campaign_id"]).aggregate(
        event_us=table.event_time.min(),
        is_control=table.is_control.fill_null(False).any(),
        is_treated=(~table.is_control).fill_null(False).any(),
    )
    frame: pd.DataFrame = profile.backend.to_pyarrow(once.order_by(["campaign_id", "customer_id"])).to_pandas()
    if campaign is not None:
        if campaign not in set(frame["campaign_id"]):
            raise UnknownName("campaign", campaign, sorted(set(frame["campaign_id"])))
        frame = frame[frame["campaign_id"] == campaign]
    both = frame["is_control"] & frame["is_treated"]
    neither = ~frame["is_control"] & ~frame["is_treated"]
    clear = frame[~both & ~neither]
    groups = clear.groupby("campaign_id")["is_control"].nunique()
    drawn = clear[clear["campaign_id"].isin(groups.index[groups == 2])]
    if drawn.empty:
        which = f"campaign {campaign!r} has" if campaign else f"{frame['campaign_id'].nunique():,} campaigns have"
        raise NoExperiment(profile.source, f"{which} no control group beside contacts")
    dropped = {"contacted and held back in one campaign": int(both.sum()), "without is_control": int(neither.sum())}
    return drawn.reset_index(drop=True), dropped


def _require_rows(drawn: pd.DataFrame) -> None:
    for what, count in (
        ("customers contacted", int((~drawn["is_control"]).sum())),
        ("customers held back", int(drawn["is_control"].sum())),
    ):
        if count < LEAST_ROWS:
            remedy = "Hold more customers back, name another campaign, or choose a shorter horizon that is over."
            raise TooFewRows(f"{what} whose horizon is over", count, LEAST_ROWS, remedy)


def _instants(events: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each contact the last instant at which features are built before it: a midnight, so that few are needed."""
    days = events // DAY_US
    grid = np.unique(days)
    if len(grid) > INSTANTS:
        grid = np.unique(np.quantile(days, np.arange(INSTANTS) / INSTANTS, method="lower"))
    return np.asarray(grid[np.searchsorted(grid, days, side="right") - 1] * DAY_US, dtype=np.int64)


def _outcomes(profile: Profile, drawn: pd.DataFrame, config: ExperimentConfig) -> Array:
    """Whether each row's customer ordered within the horizon, or what the orders brought."""
    profile.table("orders", "uplift")  # refuses a profile without it
    known = make_snapshot(profile.tables, [profile.known_until], profile.backend.name)
    orders: Any = known.relation("orders" if config.outcome == "order" else "order_rows")
    amount = ibis.literal(1.0) if config.outcome == "order" else _margin(profile, orders)
    placed = orders.select("customer_id", "event_time", amount=amount)
    contacts = ibis.memtable(
        pa.table(
            {
                "row": pa.array(np.arange(len(drawn))),
                "customer_id": pa.array(drawn["customer_id"].tolist(), pa.string()),
                "start": pa.array(drawn["event_us"].to_numpy(dtype=np.int64)),
            }
        )
    )
    joined = placed.join(contacts, "customer_id")
    inside = joined.filter(
        joined.event_time >= joined.start, joined.event_time < joined.start + config.horizon_days * DAY_US
    )
    summed = inside.group_by("row").aggregate(amount=inside.amount.sum()).order_by("row")
    found = profile.backend.to_pyarrow(summed)
    outcome = np.zeros(len(drawn))
    outcome[found["row"].to_numpy()] = 1.0 if config.outcome == "order" else found["amount"].to_numpy()
    return outcome


def _margin(profile: Profile, orders: Any) -> Any:
    """What each order brought, estimated where its margin is unknown: a missing figure is not a margin of nothing."""
    value = orders.value.cast("float64")
    if "margin_value" not in orders.columns:
        return value
    margin = orders.margin_value.cast("float64")
    sums = orders.aggregate(margin=margin.sum(), value=value.sum(where=margin.notnull()))  # noqa: PD004 - Ibis
    total = profile.backend.to_pyarrow(sums).to_pylist()[0]
    rate = total["margin"] / total["value"] if total["value"] else 1.0
    return margin.coalesce(value * rate)
