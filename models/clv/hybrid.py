"""Customer lifetime value from purchase histories and everything else known, each correcting the other.

The models of ordering and dropping out know time: they need little data and carry a window on to any horizon. Trees
know the rest (season, surveys, support, channels, portrait) but neither time nor restraint. Averaged on the log scale,
each takes the other's errors down.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from scipy.special import expit

from models.base import Array, State, column, plain
from models.clv.answer import answer
from models.clv.base import ClvOfOrders, in_chunks
from models.clv.btyd import FACTORS, repeat_value, spend_days
from models.clv.corrections.consensus import Consensus, Outlook, reconciled
from models.clv.corrections.movement import moved_silence, movement, worth_movement
from models.clv.corrections.trees import Growth, Lesson, Trees
from models.clv.corrections.trust import LEAST_TESTED, departure, level, too_thin, weights_of_all, weights_out_of_time
from models.clv.drift import Drift
from models.clv.histories import Histories
from models.clv.intervals import Bounds, bounds
from models.clv.kinds import keep_spend, read_spend
from models.clv.ladder import fit_spend
from models.clv.next_order import CHUNK, days_to_next_order
from models.clv.orders.tails import Tail, part, stretched_tail
from models.clv.past import Past
from models.clv.preflight import findings_in
from models.clv.spend.spread import spend_shapes
from models.encoding import Encoder

HALF_TRUST = 2_000.0
"""Order days after the earlier prediction times at which trees weigh as much as purchase histories."""
LEVELS = ("orders", "value", "silence")
"""Of what the level that trees give it is taken off."""
LEAST_VALUE = 1e-6
"""Values below this are taken as this much, so that they have a logarithm."""
BOOSTERS = {
    "orders": "poisson", "orders_offset": "poisson", "none": "binary", "order_value": "gamma",
}  # fmt: skip
KNOWN = ("expected_orders_in_window", "probability_active")
"""What the purchase histories say of the window, beside the features."""


@dataclass(frozen=True)
class _Views:
    """The expectations for some rows, on the logarithmic scale, and what they come from."""

    histories: Histories
    ahead: Outlook
    matrix: Array
    active: Array
    btyd: Array
    window: Array
    spend: Array


class ClvHybrid(ClvOfOrders):
    """Purchase history models averaged with trees on the full catalogue, trained on earlier prediction times.

    Orders: the mean on the log scale of the history models' expectation, Poisson trees, and Poisson trees with that
    expectation as offset; trees weigh what did best out of time (`corrections.trust`), at most n / (n + 2000) for n
    order days they saw. What they learned of a window is carried to the horizon by the history models' ratio of the
    two, and moved by bias or season (`corrections.movement`). Value: orders times Gamma-Gamma spend (first orders
    included), which gamma trees of the value of an order correct as far as they are trusted. With too few rows of the
    past history models stand alone and a warning says so.

    Parameters
    ----------
    horizon_days, annual_discount_rate, margin_rate, annual_cost_to_serve
        See `models.clv.value.Terms`.
    trees, learning_rate, num_leaves, max_bin, feature_fraction, bagging_fraction, lambda_l2, random_state
        See `models.clv.corrections.trees.Growth`.
    """

    learns_from_past: ClassVar[bool] = True

    def __init__(
        self,
        horizon_days: float = 365.0,
        annual_discount_rate: float = 0.1,
        margin_rate: float = 1.0,
        annual_cost_to_serve: float = 0.0,
        trees: int = 150,
        learning_rate: float = 0.05,
        num_leaves: int = 8,
        max_bin: int = 63,
        feature_fraction: float = 0.5,
        bagging_fraction: float = 0.7,
        lambda_l2: float = 10.0,
        random_state: int = 0,
    ) -> None:
        self.horizon_days = horizon_days
        self.annual_discount_rate = annual_discount_rate
        self.margin_rate = margin_rate
        self.annual_cost_to_serve = annual_cost_to_serve
        self.trees = trees
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.max_bin = max_bin
        self.feature_fraction = feature_fraction
        self.bagging_fraction = bagging_fraction
        self.lambda_l2 = lambda_l2
        self.random_state = random_state

    def fit(self, rows: pd.DataFrame, target: Array | None = None, past: Past | None = None) -> Self:
        """Fit the history models to the rows and the trees to the past; see `Model.fit`. Takes no target.

        Parameters
        ----------
        rows, target
            See `Model.fit`.
        past : Past, optional
            Rows at earlier prediction times and what followed.
        """
        del target
        self.terms  # noqa: B018 - refuses terms that make no sense before anything is fitted
        self.columns_ = tuple(map(str, rows.columns))
        histories = Histories.of(rows)
        self.orders_, order_warnings = Consensus.fit(histories)
        self.spend_, spend_warnings = fit_spend(*spend_days(rows))
        followed = 0.0 if past is None else float(past.order_days.sum())
        thin = too_thin(len(rows), followed)
        found = findings_in(histories, column(rows, "frequency"), repeat_value(rows), self.orders_, self.spend_)
        self.warnings_ = found + order_warnings + spend_warnings + ((thin,) if thin else ())
        self.window_days_ = past.window_days if past is not None and not thin else 0.0
        self.encoder_ = Encoder.fit(rows if past is None or thin else past.rows)
        self.trust_ = 0.0 if thin else followed / (followed + HALF_TRUST)
        self.weights_, self.levels_ = np.zeros(2), dict.fromkeys(LEVELS, 0.0)
        self.drift_, self.moved_, self.worth_ = Drift(), 0.0, 0.0
        self.boosters_: dict[str, Trees] = {}
        if past is not None and not thin:
            weights, self.drift_ = self._tested(past)
            self.weights_ = weights_of_all(weights, self.trust_)
            self.boosters_ = self._grow(past, BOOSTERS)
            moved, before = movement(past, self.orders_.expected_orders), self._views(past.rows)
            worth = worth_movement(past, np.exp(before.window), np.exp(before.spend))
            self.moved_, self.worth_ = moved.log_ratio, worth.log_ratio
            self.warnings_ += moved.words + worth.words
            self.levels_ = self._levels(rows, past, np.exp(before.window))
        self.average_ = self._average(self._views(rows))
        return self

    def _average(self, views: _Views) -> dict[str, float]:
        """Factors of an average customer; orders are those of all over who is active, so that the two make them."""
        log_orders, _, active = self._forecast(views)
        discounted = (np.exp(log_orders - views.btyd) * self._discounted(views)).sum() / active.sum()
        if_active = np.exp(views.btyd).sum() / active.sum()
        found = (active.mean(), if_active, np.exp(views.spend).mean(), discounted)
        return dict(zip((*FACTORS, "discounted_orders_if_active"), map(float, found), strict=True))

    def _tested(self, past: Past) -> tuple[Array, Drift]:
        """The weights at which trees of earlier windows forecast the latest best, and the drift around that forecast.

        Without earlier windows the weights are full, and the drift is that around the history models' forecast.
        """
        test, then = past.latest(), past.over_by_latest()
        views = self._views(test.rows)
        weights, logs = np.array([0.5, 0.5]), views.window
        if len(then.rows) and min(then.order_days.sum(), test.order_days.sum()) < LEAST_TESTED:
            weights = np.zeros(2)
        elif len(then.rows):
            grown = self._grow(then, ("orders", "orders_offset"))
            own = grown["orders"].predict(views.matrix) - views.window
            corrections = np.column_stack([own, grown["orders_offset"].predict(views.matrix)])
            weights = weights_out_of_time(test.order_days, views.window, corrections)
            logs = views.window + corrections @ weights
        return weights, self._drift(views, np.exp(logs - level(logs, views.window)), test)

    def _drift(self, views: _Views, orders: Array, test: Past) -> Drift:
        """How far customers departed from a forecast of their orders."""
        model, days = self.orders_.in_closed_form, test.window_days
        none = expit(views.ahead.silence(days))
        return Drift.estimate(
            lambda rate: stretched_tail(model, views.histories, days, orders, none, rate),
            test.order_days,
            test.order_value / np.exp(views.spend),
            *spend_shapes(self.spend_, spend_days(test.rows)[0]),
        )

    def _levels(self, rows: pd.DataFrame, past: Past, then: Array) -> dict[str, float]:
        """What is taken off the logarithms: trees' own level of orders, value and silence, but for what moves it."""
        views = self._views(rows)
        log_orders = self._log_orders(views)
        log_value = self._log_value(views, log_orders)
        seen = float(np.log(past.order_days.sum() / then.sum()))
        moved = self.moved_ or departure(past.order_days, then, past.ages)
        return {
            "orders": level(log_orders, views.btyd) - moved,
            "value": level(log_value, views.btyd + views.spend) - moved - self.worth_,
            "silence": float(self.weights_.sum()) * seen - self.moved_,
        }

    def _grow(self, past: Past, wanted: Iterable[str]) -> dict[str, Trees]:
        growth = Growth(**{setting.name: getattr(self, setting.name) for setting in fields(Growth)})
        views, days = self._views(past.rows), past.order_days
        paid = (days > 0) & (past.order_value > 0)
        lessons = {
            "orders": Lesson(views.matrix, days),
            "orders_offset": Lesson(views.matrix, days, views.window),
            "none": Lesson(views.matrix, (days == 0).astype(np.float64)),
            "order_value": Lesson(
                views.matrix[paid], past.order_value[paid] / days[paid], views.spend[paid], days[paid]
            ),
        }
        names, text_columns = [*self.columns_, *(f"btyd_{name}" for name in KNOWN)], self.encoder_.text_columns
        return {
            name: Trees.fit(objective, lessons[name], names, text_columns, growth)
            for name, objective in BOOSTERS.items()
            if name in wanted and len(lessons[name].target)
        }

    def _views(self, rows: pd.DataFrame) -> _Views:
        """What the history models say, and the matrix that the trees see."""
        histories = Histories.of(rows)
        ahead = self.orders_.ahead(histories)
        active = ahead.active
        btyd = np.log(ahead.expected_orders(self.horizon_days))
        window = np.log(ahead.expected_orders(self.window_days_)) if self.window_days_ else btyd
        spend = np.log(np.maximum(self.spend_.expected_order_value(*spend_days(rows)), LEAST_VALUE))
        # trees learn more from the mean: what BG/NBD says of those who ordered once is told apart by their time
        matrix = np.column_stack([self.encoder_.transform(rows), window, ahead.mean_active])
        return _Views(histories, ahead, np.ascontiguousarray(matrix), active, btyd, window, spend)

    def _log_orders(self, views: _Views) -> Array:
        if not self.boosters_:
            return views.btyd
        own = self.boosters_["orders"].predict(views.matrix) - views.window
        offset = self.boosters_["orders_offset"].predict(views.matrix)
        moved = self.weights_[0] * own + self.weights_[1] * offset - self.levels_["orders"]
        return np.asarray(views.btyd + moved)

    def _log_value(self, views: _Views, log_orders: Array) -> Array:
        by_spend = log_orders + self.levels_["orders"] + views.spend - self.levels_["value"]
        if "order_value" not in self.boosters_:
            return by_spend
        return np.asarray(by_spend + self.trust_ * self.boosters_["order_value"].predict(views.matrix))

    def score(self, rows: pd.DataFrame, margin_rates: Array | None = None) -> pd.DataFrame:
        """Value each customer; see `ClvOfOrders.score`."""
        self._check_columns(rows)
        return pd.concat([self._scored(*part) for part in in_chunks(rows, margin_rates, CHUNK)], ignore_index=True)

    def _scored(self, rows: pd.DataFrame, margin_rates: Array | None) -> pd.DataFrame:
        views = self._views(rows)
        log_orders, silence, active = self._forecast(views)
        log_value, orders = self._log_value(views, log_orders), np.exp(log_orders)
        moved = silence - views.ahead.silence(self.horizon_days)
        return answer(
            views.histories,
            self.terms,
            self.average_,
            probability_active=active,
            expected_orders=orders,
            discounted_orders=np.exp(log_orders - views.btyd) * self._discounted(views),
            order_value=np.exp(log_value - log_orders),
            bounds=self._bounds(rows, views, orders, expit(silence), active if self.terms.cost_to_serve else None),
            margin_rates=margin_rates,
            waits=days_to_next_order(
                lambda some, days: expit(views.ahead.silence(days, some) + moved[some]), len(rows)
            ),
        )

    def bounds(self, rows: pd.DataFrame) -> Bounds:
        """Predictive intervals of orders, and of their value in expected order values."""
        views = self._views(rows)
        log_orders, silence, _ = self._forecast(views)
        return self._bounds(rows, views, np.exp(log_orders), expit(silence))

    def order_tail(self, rows: pd.DataFrame) -> Tail:
        """The predictive distribution of orders: the forecast, in the shape that the histories give it."""
        views = self._views(rows)
        log_orders, silence, _ = self._forecast(views)
        return self._tail(views.histories, np.exp(log_orders), expit(silence))

    def _forecast(self, views: _Views) -> tuple[Array, Array, Array]:
        """Logarithm of the expected orders, log-odds of none, and the probability to be active."""
        log_orders, silence = self._log_orders(views), self._silence(views)
        if_any = views.ahead.orders_if_any(self.horizon_days)
        return log_orders, *reconciled(np.exp(log_orders), silence, views.active, if_any)

    def _tail(self, histories: Histories, orders: Array, none: Array) -> Tail:
        return stretched_tail(self.orders_.in_closed_form, histories, self.horizon_days, orders, none, self.drift_.rate)

    def _bounds(
        self, rows: pd.DataFrame, views: _Views, orders: Array, none: Array, alive: Array | None = None
    ) -> Bounds:
        return bounds(
            lambda some: self._tail(part(views.histories, some), orders[some], none[some]),
            *self.drift_.shapes(*spend_shapes(self.spend_, spend_days(rows)[0])),
            alive,
        )

    def _discounted(self, views: _Views) -> Array:
        return self.terms.discounted_orders(views.ahead.expected_orders)

    def probability_no_order(self, rows: pd.DataFrame) -> Array:
        """Probability that each customer does not order in the horizon."""
        self._check_columns(rows)
        return np.asarray(expit(self._forecast(self._views(rows))[1]), dtype=np.float64)

    def _silence(self, views: _Views) -> Array:
        """Log-odds of no order in the horizon.

        Those of the trees are of the window, and are moved to the horizon by what the history models say of the two.
        """
        horizon = views.ahead.silence(self.horizon_days)
        if not self.boosters_:
            return horizon
        window = views.ahead.silence(self.window_days_)
        moved = self.weights_.sum() * (self.boosters_["none"].predict(views.matrix) - window)
        return moved_silence(horizon + moved, -self.levels_["silence"])

    def _factors(self, views: _Views) -> dict[str, Array]:
        """The history models' factors of the value."""
        active = self._forecast(views)[2]
        return dict(zip(FACTORS, (active, np.exp(views.btyd) / active, np.exp(views.spend)), strict=True))

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Contribution of each factor to the logarithm of the value: the history models' three, then the features.

        But for a constant that is everyone's they add up to the log ratio of a customer's undiscounted value to that
        of an average one.
        """
        self._check_columns(rows)
        views = self._views(rows)
        logs = {name: np.log(values / self.average_[name]) for name, values in self._factors(views).items()}
        alive, if_active, spend = (logs[name] for name in FACTORS)
        if not self.boosters_:
            return pd.DataFrame(logs | {name: np.zeros(len(rows)) for name in self.columns_})
        without, on_top = self.weights_
        weights = {"orders": without, "orders_offset": on_top, "order_value": self.trust_}
        shares = np.zeros_like(views.matrix)
        for name, weight in weights.items():
            if name in self.boosters_:
                shares += weight * self.boosters_[name].contributions(views.matrix)
        own = 1 - without  # the trees without it take the ratio of horizon and window only
        carried = without * (views.btyd - views.window)
        histories = {
            "probability_active": own * alive + shares[:, -1],
            "orders_if_active": own * if_active + carried + shares[:, -2],
            "expected_order_value": spend,
        }
        features = {name: shares[:, i] for i, name in enumerate(self.columns_)}
        return pd.DataFrame(histories | features)

    def reason_values(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The history models' factors of the value, then the features."""
        self._check_columns(rows)
        return pd.concat([pd.DataFrame(self._factors(self._views(rows))), rows.reset_index(drop=True)], axis=1)

    def state(self) -> State:
        """Parameters of the history models and the encoder as JSON, trees as LightGBM's text."""
        parameters = {
            "settings": self.get_params(),
            "encoder": self.encoder_.state(),
            "orders": self.orders_.state(),
            "spend": keep_spend(self.spend_),
            "window_days": self.window_days_,
            "trust": self.trust_,
            "weights": plain(self.weights_),
            "levels": self.levels_,
            "moved": {"orders": self.moved_, "worth": self.worth_},
            "drift": self.drift_.state(),
            "average": self.average_,
            "warnings": list(self.warnings_),
        }
        return State(parameters, {f"{name}.txt": trees.text() for name, trees in self.boosters_.items()})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Make the fitted model again."""
        kept: Any = state.parameters
        model = cls(**kept["settings"])
        model.encoder_ = Encoder.from_state(kept["encoder"])
        model.columns_ = model.encoder_.columns
        model.orders_ = Consensus.from_state(kept["orders"])
        model.spend_ = read_spend(kept["spend"])
        model.window_days_, model.trust_ = kept["window_days"], kept["trust"]
        model.weights_, model.levels_ = np.array(kept["weights"], dtype=np.float64), kept["levels"]
        model.moved_, model.worth_ = kept["moved"]["orders"], kept["moved"]["worth"]
        model.average_, model.drift_, model.warnings_ = kept["average"], Drift(**kept["drift"]), tuple(kept["warnings"])
        model.boosters_ = {
            name: Trees.from_text(state.texts[f"{name}.txt"]) for name in BOOSTERS if f"{name}.txt" in state.texts
        }
        return model

    def fitted_parameters(self) -> dict[str, float]:
        """Those of the history models, by kind, and of spend; the window, trees' weight and what the calendar moves."""
        trees = {"window_days": self.window_days_, "trust": self.trust_, "weight": float(self.weights_.sum())}
        moved = {"movement": float(np.exp(self.moved_)), "movement_of_order_value": float(np.exp(self.worth_))}
        return self.orders_.parameters | self.spend_.parameters | trees | moved
