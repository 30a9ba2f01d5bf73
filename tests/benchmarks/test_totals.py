"""Whether intervals of totals deserve their name: how often what customers spent lies in them. Part of `make bench`.

Of each business the interval of customer equity is made as a training run and a scoring job make it, with nothing known
after the cutoff; without discount it is one of what the customers then spend together.
"""

from collections.abc import Callable
from typing import Any

import pytest

from features.instants import read_instant
from features.profile import Profile
from models.clv.equity import NORMAL, Equity, customer_equity
from models.families import FAMILIES
from tests.benchmarks.businesses.every import BUSINESSES
from training.clv import ClvJob
from training.config import TrainConfig
from training.evaluation.backtest import contest_before

LEAST = {50: 0.5, 90: 0.9}
"""Share of the totals that lie within."""
NAME = "clv_hybrid"


def forecast(profile: Profile, cutoff: str, horizon_days: int) -> tuple[Equity, float]:
    """The interval of what all customers spend in the horizon, and what they spent."""
    at, job, family = read_instant(cutoff), ClvJob(), FAMILIES[NAME]
    config = TrainConfig(horizon_days=horizon_days, annual_discount_rate=0.0)
    prepared = job.prepare(config, profile, family.feature_set, at, evaluate=True)
    model = job.learn(family, config, job.prepare_past(config, profile, prepared))
    contest = contest_before(at, profile, config, [family], lambda _: None)
    after = prepared.splits["holdout"]
    errors = contest.total_errors(NAME, horizon_days) if contest else ()
    equity = customer_equity([model.score(after.rows)], errors)[0]
    return equity, float(after.outcome["order_value"].sum())


@pytest.mark.benchmark(group="how often a total lies in its interval")
def test_totals_lie_in_their_intervals(
    benchmark: Any, make_profile: Callable[..., Profile], capsys: pytest.CaptureFixture[str]
) -> None:
    within: dict[int, list[bool]] = {level: [] for level in NORMAL}

    def all_of_them() -> None:
        for name, (make, cutoff, horizon_days) in BUSINESSES.items():
            orders, customers = make(1)
            equity, spent = forecast(make_profile(orders, customers=customers), cutoff, horizon_days)
            for level in NORMAL:
                within[level].append(getattr(equity, f"low_{level}") <= spent <= getattr(equity, f"high_{level}"))
            with capsys.disabled():
                bounds = f"{equity.low_90:,.0f} to {equity.high_90:,.0f}"
                print(f"\n{name}: {spent:,.0f} came, {equity.value:,.0f} foretold, {bounds}")  # noqa: T201 - the result

    benchmark.pedantic(all_of_them, rounds=1)
    shares = {level: sum(hits) / len(hits) for level, hits in within.items()}
    benchmark.extra_info |= {str(level): share for level, share in shares.items()}
    with capsys.disabled():
        print(f"\n{len(BUSINESSES)} businesses: {shares} of the totals lie within")  # noqa: T201 - the result
    assert {level: share for level, share in shares.items() if share < LEAST[level]} == {}
