"""What a classifier is asked: whom it concerns, what came of them, and how long it took."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from features.catalogue import CATALOGUE
from features.eligibility import ELIGIBLE, Eligibility
from features.occurrences import Occurrence, read_occurrence
from features.profile import Profile
from features.spec import Feature
from models.base import Array, column
from training.config import TrainConfig
from training.errors import ConfigInvalid
from training.rows.completion import Seen
from training.rows.labels import future_ends, future_occurrences, future_orders


class Outcome(ABC):
    """One question about a customer that the time after the prediction time answers with yes or no.

    Attributes
    ----------
    name : str
        What the contract calls it.
    table : str
        Where the answer stands.
    clock : str
        The column there that says when; empty where what is no longer told of is no sign of an end.
    eligible : Eligibility
        Whom it concerns.
    others : str
        What is said of the rest, with their counts by population.
    is_absence : bool
        Whether yes means that nothing happened.
    grace_days : int
        Days that must pass after something happened before it is known to have.
    """

    name: str
    table: str
    eligible: Eligibility
    others: str
    clock: str = ""
    is_absence: bool = False
    grace_days: int = 0

    @abstractmethod
    def words(self, config: TrainConfig) -> str:
        """It with its horizon, as a reader of a score is told."""

    @abstractmethod
    def future(
        self, profile: Profile, times: Sequence[datetime], config: TrainConfig, known_until: datetime
    ) -> pd.DataFrame:
        """`customer_id`, `prediction_time` and `wait_days` of those to whom it happened in the label window."""

    @property
    @abstractmethod
    def history(self) -> tuple[Feature, ...]:
        """What is needed of the past to complete labels whose window is cut short."""

    @abstractmethod
    def seen(self, rows: pd.DataFrame, age_days: Array, wait: Array, observed: Array) -> Seen:
        """What was seen of the label windows, with the past that tells how they go on."""

    def own_features(self) -> tuple[Feature, ...]:
        """Features that only this outcome has."""
        return ()


@dataclass(frozen=True)
class NoOrder(Outcome):
    """Non-contractual churn: no order in the label window, among customers who have ordered before."""

    eligible: Eligibility = ELIGIBLE["ordered"]
    name = "churned"
    table = "orders"
    clock = "event_time"
    others = "of customers without an order ({}) are left out: only who has ordered can churn"
    is_absence = True

    def words(self, config: TrainConfig) -> str:
        """No order, in how many days."""
        return f"no order in {_window(config)}"

    def future(
        self, profile: Profile, times: Sequence[datetime], config: TrainConfig, known_until: datetime
    ) -> pd.DataFrame:
        """First order of the window."""
        found = future_orders(profile, times, config.horizon_days, config.gap_days, known_until)
        return found.rename(columns={"days_to_order": "wait_days"})

    @property
    def history(self) -> tuple[Feature, ...]:
        """Repeat orders, silence and age."""
        return tuple(CATALOGUE[name] for name in ("frequency", "days_since_last_order", "T_days"))

    def seen(self, rows: pd.DataFrame, age_days: Array, wait: Array, observed: Array) -> Seen:
        """From the ordering history."""
        del age_days
        return Seen.of(rows, wait, observed)


@dataclass(frozen=True)
class SubscriptionEnded(Outcome):
    """Contractual churn: the subscription ends in the label window and is not renewed within the grace."""

    grace_days: int = 30
    name = "churned_contractual"
    table = "subscriptions"
    eligible = ELIGIBLE["subscribed"]
    others = "of customers without a running subscription ({}) are left out: only who is subscribed can leave"

    def words(self, config: TrainConfig) -> str:
        """An end without renewal, in how many days."""
        return f"subscription ended in {_window(config)} and not renewed within {self.grace_days} days"

    def future(
        self, profile: Profile, times: Sequence[datetime], config: TrainConfig, known_until: datetime
    ) -> pd.DataFrame:
        """The end without renewal."""
        return future_ends(profile, times, config.horizon_days, config.gap_days, self.grace_days, known_until)

    @property
    def history(self) -> tuple[Feature, ...]:
        """How long the customer has been subscribed."""
        return (CATALOGUE["subscription_tenure_days"],)

    def seen(self, rows: pd.DataFrame, age_days: Array, wait: Array, observed: Array) -> Seen:
        """From the time since the first subscription."""
        del age_days
        tenure = np.nan_to_num(column(rows, "subscription_tenure_days"))
        return Seen(np.zeros(len(rows)), tenure, tenure, wait, observed)


@dataclass(frozen=True)
class Happens(Outcome):
    """Propensity: an event of a person's own choosing happens in the label window."""

    occurrence: Occurrence
    eligible: Eligibility
    others = "are not of those asked about ({})"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The event, with its table."""
        return self.occurrence.text

    @property
    def table(self) -> str:  # type: ignore[override]
        """The event's."""
        return self.occurrence.table

    @property
    def clock(self) -> str:  # type: ignore[override]
        """The event's."""
        return self.occurrence.clock

    def words(self, config: TrainConfig) -> str:
        """The event, in how many days."""
        return f"{self.occurrence.text} in {_window(config)}"

    def future(
        self, profile: Profile, times: Sequence[datetime], config: TrainConfig, known_until: datetime
    ) -> pd.DataFrame:
        """The first of it."""
        window = (config.horizon_days, config.gap_days)
        return future_occurrences(profile, self.occurrence, times, *window, known_until)

    @property
    def history(self) -> tuple[Feature, ...]:
        """How often and how lately it happened before."""
        return self.occurrence.features()

    def own_features(self) -> tuple[Feature, ...]:
        """How often and how lately it happened before."""
        return self.occurrence.features()

    def seen(self, rows: pd.DataFrame, age_days: Array, wait: Array, observed: Array) -> Seen:
        """From the past of the event; what never happened is as long ago as the history reaches."""
        since = column(rows, "days_since_last_target")
        times = column(rows, "target_count_365d")
        return Seen(times, np.where(np.isnan(since), age_days, since), age_days, wait, observed)


def churn_outcome(config: TrainConfig) -> Outcome:
    """What churn is, by the settings.

    Raises
    ------
    ConfigInvalid
        If it is asked of customers who cannot leave.
    """
    own = ("subscribed",) if config.target == "contractual" else ("ordered", "active")
    if config.eligible is not None and config.eligible not in own:
        raise ConfigInvalid("eligible", config.eligible, f"{' or '.join(own)}, where churn is {config.target}")
    if config.target == "contractual":
        return SubscriptionEnded(grace_days=config.grace_days)
    return NoOrder(ELIGIBLE[config.eligible or "ordered"])


def event_outcome(config: TrainConfig) -> Outcome:
    """What propensity is asked of, by the settings.

    Raises
    ------
    ConfigInvalid
        If no event is given.
    EventUnreadable
        If it cannot be read.
    """
    if not config.event:
        raise ConfigInvalid("event", "", "an event to predict, such as --event \"kind = 'loyalty_redeem'\"")
    return Happens(read_occurrence(config.event), ELIGIBLE[config.eligible or "known"])


def _window(config: TrainConfig) -> str:
    after = f" from {config.gap_days} days after the prediction time" if config.gap_days else ""
    return f"{config.horizon_days} days{after}"
