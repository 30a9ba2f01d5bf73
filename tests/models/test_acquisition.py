from collections.abc import Callable, Sequence

import pandas as pd
import pytest

from models.base import Model
from models.clv.acquisition import (
    KNOWN,
    SCORED,
    Acquisition,
    NewCustomer,
    acquisition_of,
    acquisition_sums,
    margin_of_new,
    payback_days,
)
from models.clv.contractual import ClvContractual
from models.clv.naive import ClvNaive
from models.clv.renewals.shifted_beta_geometric import ShiftedBetaGeometric
from models.clv.renewals.strata import Stratum

BOUGHT = "net_order_value"
NEVER_WRONG = (0.0,) * 10_000  # errors of totals that leave the customers' own


@pytest.fixture
def naive() -> ClvNaive:
    """An order a hundred days, of 50 each."""
    model = ClvNaive()
    model.rate_, model.value_ = 0.01, 50.0
    return model


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("search", 10.0, 100.0, 20.0, 3.0, 0.4, 0.0),
            ("search", 30.0, 50.0, 40.0, 4.0, 0.4, 0.0),
            ("social", 60.0, 10.0, 5.0, 1.0, 0.4, 0.0),
            (None, 0.0, 10.0, 5.0, 1.0, 0.4, 0.0),
            ("search", None, 999.0, 999.0, 1.0, 0.4, 0.0),
            ("social", 999.0, 999.0, None, None, None, None),
        ],
        columns=[*KNOWN, BOUGHT, *SCORED],
    )


def found(model: Model, errors: Sequence[float]) -> dict[str, Acquisition]:
    return {each.channel: each for each in acquisition_of(acquisition_sums(rows(), BOUGHT), model, 0.4, errors)}


def test_cost_and_worth_are_means_of_customers_whose_cost_and_value_are_known(naive: ClvNaive) -> None:
    search = found(naive, NEVER_WRONG)["search"]
    assert (search.customers, search.acquisition_cost) == (2, 20.0)
    assert search.lifetime_value == pytest.approx((0.4 * 150 + 60) / 2)
    assert search.value_to_cost == pytest.approx(3.0)
    # 1.6449 standard deviations of the mean: 5 / 2
    assert search.lifetime_value_high_90 - search.lifetime_value == pytest.approx(1.6449 * 2.5, abs=0.01)


def test_what_a_customer_brought_is_not_lost_however_uncertain_the_rest(naive: ClvNaive) -> None:
    unsure = rows().assign(clv_standard_deviation=1e6)
    low = [
        acquisition_of(acquisition_sums(unsure.assign(clv_from_cost=cost), BOUGHT), naive, 0.4, ())[1]
        for cost in (0.0, -3.0)
    ]
    assert [each.lifetime_value_low_90 for each in low] == [0.4 * 150 / 2, (0.4 * 150 - 6) / 2]
    assert low[0].value_to_cost_low_90 == pytest.approx(1.5)


def test_all_customers_come_first_and_the_channels_add_up_to_them(naive: ClvNaive) -> None:
    listed = acquisition_of(acquisition_sums(rows(), BOUGHT), naive, 0.4, ())
    assert [each.channel for each in listed] == ["all customers", "search", "channel unknown", "social"]
    whole, *channels = listed
    assert whole.customers == sum(each.customers for each in channels) == 4
    spent = sum(each.customers * each.acquisition_cost for each in channels)
    assert whole.acquisition_cost == pytest.approx(spent / 4) == 25.0


def test_a_level_that_was_wrong_on_the_holdout_widens_value_and_payback(naive: ClvNaive) -> None:
    sure, unsure = (found(naive, errors)["social"] for errors in (NEVER_WRONG, (-0.2, 0.2)))
    assert unsure.lifetime_value == sure.lifetime_value
    assert unsure.lifetime_value_low_90 < sure.lifetime_value_low_90
    assert sure.payback_days_low_90 == pytest.approx(sure.payback_days, rel=0.01)
    assert sure.payback_days_high_90 == pytest.approx(sure.payback_days, rel=0.01)
    assert unsure.payback_days_low_90 is not None
    assert unsure.payback_days_high_90 is not None
    assert sure.payback_days is not None
    assert unsure.payback_days_low_90 < sure.payback_days < unsure.payback_days_high_90


def test_payback_is_when_the_margin_of_a_new_customer_passes_the_cost(naive: ClvNaive) -> None:
    # 0.4 * 50 at once and 0.2 a day: 20 at once, 60 after 200 days, never 1000 within ten years.
    curve = margin_of_new(naive, 0.4)
    assert [payback_days(NewCustomer(curve), cost) for cost in (0.0, 20.0, 60.0, 1000.0)] == [0.0, 0.0, 200.0, None]


def test_what_customers_brought_so_far_is_at_their_own_margin(naive: ClvNaive) -> None:
    known = rows().assign(margin_rate=[0.1, 0.6, 0.4, 0.4, 0.4, float("nan")])
    search = next(
        each for each in acquisition_of(acquisition_sums(known, BOUGHT), naive, 0.4, ()) if each.channel == "search"
    )
    assert search.lifetime_value == pytest.approx((0.1 * 100 + 0.6 * 50 + 60) / 2)


def test_what_was_bought_at_no_known_price_counts_as_nothing(naive: ClvNaive) -> None:
    known = rows().assign(**{BOUGHT: [100.0, float("nan"), 10.0, 10.0, 1.0, 1.0]})
    search = next(e for e in acquisition_of(acquisition_sums(known, BOUGHT), naive, 0.4, ()) if e.channel == "search")
    assert search.lifetime_value == pytest.approx((0.4 * 100 + 60) / 2)


def test_where_nothing_was_spent_there_is_no_ratio(naive: ClvNaive) -> None:
    free = found(naive, ())["channel unknown"]
    assert (free.value_to_cost, free.payback_days) == (None, 0.0)


def test_without_any_channel_all_customers_stand_alone(naive: ClvNaive) -> None:
    (whole,) = acquisition_of(acquisition_sums(rows().drop(columns="acquisition_channel"), BOUGHT), naive, 0.4, ())
    assert whole == acquisition_of(acquisition_sums(rows(), BOUGHT), naive, 0.4, ())[0]


def test_without_known_costs_there_is_nothing(naive: ClvNaive) -> None:
    nobody = rows().assign(acquisition_cost=float("nan"))
    assert acquisition_of(acquisition_sums(nobody, BOUGHT), naive, 0.4, ()) == []


@pytest.mark.parametrize("name", ["clv_bgnbd", "clv_mbgnbd", "clv_pareto_nbd", "clv_hybrid", "clv_naive"])
def test_a_new_customers_margin_begins_with_an_order_and_grows(name: str, fitted: Callable[[str], Model]) -> None:
    curve = margin_of_new(fitted(name), 0.5)
    margins = [curve(days) for days in (0.0, 30.0, 365.0, 3_650.0)]
    assert margins[0] > 0
    assert margins == sorted(margins)
    assert margins[2] > 1.5 * margins[0]


@pytest.fixture
def yearly() -> ClvContractual:
    """A price of 120 a year, and every second subscriber leaves at the first renewal of the beta-geometric 1, 1."""
    model = ClvContractual(period_days=365.25)
    model.strata_ = (Stratum(None, 365.25, ShiftedBetaGeometric(1.0, 1.0), running=10, price=120.0),)
    return model


def test_a_new_subscriber_pays_at_once_and_at_every_renewal_while_staying(yearly: ClvContractual) -> None:
    # Survival 1, 1/2, 1/3, ... of 60 a year: 60, 90 and 110 of margin after no, one and two renewals.
    curve = margin_of_new(yearly, 0.5)
    days = (0.0, 365.0, 365.5, 731.0, 3_650.0)
    assert [curve(t) for t in days] == pytest.approx([60, 60, 90, 110, 60 * sum(1 / k for k in range(1, 11))])
    assert [payback_days(NewCustomer(curve), cost) for cost in (60.0, 90.0, 91.0)] == pytest.approx(
        [0.0, 365.3, 730.5], abs=0.1
    )
    assert payback_days(NewCustomer(curve), 200.0) is None


def test_a_new_subscriber_is_of_a_plan_as_often_as_those_who_run(yearly: ClvContractual) -> None:
    # Three in four pay 10 a month, of whom half leave at the first renewal; one in four 120 a year.
    monthly = Stratum(None, 30.4375, ShiftedBetaGeometric(1.0, 1.0), running=30, price=10.0)
    yearly.strata_ = (monthly, *yearly.strata_)
    curve = margin_of_new(yearly, 1.0)
    assert curve(0.0) == pytest.approx(0.75 * 10 + 0.25 * 120)
    assert curve(31.0) == pytest.approx(0.75 * 15 + 0.25 * 120)


def test_who_costs_more_to_serve_than_is_brought_never_pays_back() -> None:
    """50 at once and 10 a month: 100 are back after five months, later the more it costs to serve, and then never."""

    def of(annual_cost_to_serve: float) -> NewCustomer:
        return NewCustomer(lambda days: 50 + 10 * days / 30, annual_cost_to_serve)

    assert payback_days(of(0.0), 100.0) == pytest.approx(150.0, abs=0.1)
    assert payback_days(of(5 * 365 / 30), 100.0) == pytest.approx(300.0, abs=0.1)
    assert payback_days(of(20 * 365 / 30), 100.0) is None
    assert payback_days(of(20 * 365 / 30), 50.0) == 0.0  # paid back before any day was served


def test_the_cost_to_serve_is_the_models_own(cdnow_sample_rows: pd.DataFrame) -> None:
    some = cdnow_sample_rows.iloc[:300].reset_index(drop=True)
    cheap, dear = (NewCustomer.of(ClvNaive(annual_cost_to_serve=cost).fit(some), 0.5) for cost in (0.0, 1e4))
    assert (cheap.annual_cost_to_serve, dear.annual_cost_to_serve) == (0.0, 1e4)
    assert payback_days(cheap, 25.0) is not None
    assert payback_days(dear, 25.0) is None


@pytest.mark.parametrize("name", ["clv_contractual", "clv_contractual_naive"])
def test_cost_is_held_against_what_subscribers_paid_and_will_pay(name: str, fitted: Callable[[str], Model]) -> None:
    known = rows().rename(columns={BOUGHT: "paid"})
    (search,) = [
        each
        for each in acquisition_of(acquisition_sums(known, "paid"), fitted(name), 0.4, NEVER_WRONG)
        if each.channel == "search"
    ]
    assert search.lifetime_value == pytest.approx((0.4 * 150 + 60) / 2)
    assert search.value_to_cost == pytest.approx(3.0)
    assert search.payback_days is not None


def test_what_is_not_of_lifetime_value_has_no_new_customer(fitted: Callable[[str], Model]) -> None:
    with pytest.raises(TypeError, match="ChurnRule"):
        margin_of_new(fitted("churn_rule"), 0.5)
