from collections.abc import Callable
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from features.catalogue import ALL, CATALOGUE, CHURN, CLV, PORTRAIT, SEGMENTS, collect, feature_set
from features.engine.builder import available, build_features
from features.errors import FeatureDeclarationError, FeaturesUnavailable, UnknownName
from features.instants import read_instant
from features.profile import Profile
from features.snapshot import RELATIONS
from features.spec import FeatureSet

MakeProfile = Callable[..., Profile]
MakeOrders = Callable[..., pd.DataFrame]

AT = read_instant("2024-01-01")


@pytest.fixture(scope="module")
def orders_only(make_profile: MakeProfile, make_orders: MakeOrders) -> Profile:
    return make_profile(make_orders(("c1", "2023-01-01", 5.0), ("c1", "2023-02-01", 7.0)))


@pytest.mark.parametrize(
    ("name", "version", "fingerprint"),
    [
        ("churn", 3, "90896be5f7c06930"),
        ("clv", 1, "1e524624068e3536"),
        ("clv_contractual", 2, "58acb5058f43f034"),
        ("clv_hybrid", 2, "2d5163c2f894f0b3"),
        ("propensity", 3, "90896be5f7c06930"),
        ("segments", 1, "f43f4dab2e253970"),
    ],
)
def test_a_published_feature_set_is_never_edited(name: str, version: int, fingerprint: str) -> None:
    published = feature_set(name)
    assert (published.version, published.fingerprint) == (version, fingerprint)


def test_feature_sets_are_looked_up_by_their_name() -> None:
    assert [feature_set(name) for name in ("all", "churn", "clv", "segments")] == [ALL, CHURN, CLV, SEGMENTS]


def test_an_unknown_feature_set_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UnknownName,
        match=r"'chrun'\. Allowed: 'all', 'churn', 'clv', 'clv_contractual', 'clv_hybrid', 'propensity', 'segments'\.",
    ):
        feature_set("chrun")


def test_clv_is_fitted_on_the_four_numbers_of_fader_hardie_lee_2005() -> None:
    assert CLV.names == ("frequency", "recency_days", "T_days", "monetary_value")


def test_the_catalogue_has_about_thirty_features_or_more_each_under_its_own_name() -> None:
    assert len(CATALOGUE) >= 30
    assert {name: feature.name for name, feature in CATALOGUE.items()} == {name: name for name in CATALOGUE}
    assert ALL.names == tuple(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_feature_says_what_it_tells_in_one_sentence(name: str) -> None:
    description = CATALOGUE[name].description
    assert description.endswith(".")
    assert description[0].isupper()
    assert "\n" not in description
    assert ". " not in description


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_name_carries_its_unit_as_the_conventions_ask(name: str) -> None:
    feature = CATALOGUE[name]
    stem = name.rsplit("_", 1)[0] if name.rsplit("_", 1)[-1].removesuffix("d").isdigit() else name
    if stem.endswith("_count"):
        assert feature.dtype == "int64"
    if stem.endswith("_days"):
        assert feature.unit == "days"
    if stem.endswith("_value"):
        assert feature.unit == "currency"
    assert name.startswith(("is_", "has_")) == (feature.dtype == "bool") == (feature.unit == "flag")


def module_with(**members: Any) -> ModuleType:
    module = ModuleType("features.invented")
    vars(module).update(members)
    return module


def test_a_name_declared_in_two_modules_is_refused() -> None:
    frequency, *others = CLV.features
    again = type(frequency)("frequency", "orders", "int64", "orders", "Something else.", frequency.build)
    with pytest.raises(FeatureDeclarationError, match=r"feature 'frequency': declared twice.*features\.invented"):
        collect((module_with(a=frequency, b=tuple(others)), module_with(a=again)))


def test_a_feature_that_another_module_imports_is_collected_once() -> None:
    frequency = CATALOGUE["frequency"]
    assert collect((module_with(a=frequency), module_with(b=(frequency,), c="text"))) == {"frequency": frequency}


def test_every_relation_of_the_snapshot_has_a_feature() -> None:
    def sources(feature: Any) -> set[str]:
        return {feature.source} if isinstance(feature.source, str) else set().union(*map(sources, feature.source))

    assert set().union(*(sources(feature) for feature in ALL.features)) == set(RELATIONS)


# ---- what a profile can give


def test_a_full_profile_gives_every_feature(simulated: Profile) -> None:
    given = available(simulated, ALL)
    assert given.features == ALL
    assert dict(given.absent) == {}


def test_a_profile_of_orders_gives_what_orders_tell_and_says_what_the_rest_lacks(orders_only: Profile) -> None:
    given = available(orders_only, CHURN)
    assert dict(given.absent) == {
        "discount_share_365d": "column orders.discount_value",
        "order_channel_count_365d": "column orders.channel",
        "last_order_channel": "column orders.channel",
        "order_category_count_365d": "column orders.category",
        "return_count_365d": "column orders.is_return",
        "return_rate_365d": "column orders.is_return",
        "event_count_30d": "table 'events'",
        "event_count_90d": "table 'events'",
        "days_since_last_event": "table 'events'",
        "visit_count_30d": "table 'events'",
        "cart_abandon_count_90d": "table 'events'",
        "support_contact_count_90d": "table 'events'",
        "complaint_count_365d": "table 'events'",
        "email_open_rate_90d": "table 'events'",
        "nps_last_score": "table 'surveys'",
        "csat_last_score": "table 'surveys'",
        "ces_last_score": "table 'surveys'",
        "is_nps_silent": "table 'surveys'",
        "is_csat_silent": "table 'surveys'",
        "is_ces_silent": "table 'surveys'",
        **{name: f"column customers.{name}" for name in PORTRAIT},
        "survey_asked_count_365d": "table 'surveys'",
        "survey_response_rate_365d": "table 'surveys'",
        "days_since_last_answer": "table 'surveys'",
        "has_active_subscription": "table 'subscriptions'",
        "subscription_tenure_days": "table 'subscriptions'",
        "subscription_monthly_value": "table 'subscriptions'",
        "tenure_days": "column customers.created_at",
        "acquisition_channel": "column customers.acquisition_channel",
    }
    assert given.features.names == tuple(name for name in CHURN.names if name not in given.absent)


@pytest.mark.parametrize(
    ("table", "column", "features"),
    [
        ("surveys", "score", 9),
        ("surveys", "responded_at", 9),
        ("subscriptions", "ended_at", 3),
        ("subscriptions", "monthly_value", 1),
    ],
)
def test_a_missing_optional_column_takes_only_the_features_built_on_it(
    table: str, column: str, features: int, make_profile: MakeProfile, make_orders: MakeOrders
) -> None:
    sent = pd.to_datetime(["2023-01-01"], utc=True)
    tables = {
        "surveys": pd.DataFrame(
            {"customer_id": ["c1"], "metric": ["nps"], "sent_at": sent, "responded_at": sent, "score": [5]}
        ),
        "subscriptions": pd.DataFrame(
            {
                "customer_id": ["c1"],
                "subscription_id": ["s"],
                "started_at": sent,
                "ended_at": sent,
                "monthly_value": [1],
            }
        ),
    }
    without = tables[table].drop(columns=[column] + (["score"] if column == "responded_at" else []))
    profile = make_profile(make_orders(("c1", "2023-01-01", 5.0)), **(tables | {table: without}))
    absent = [reason for reason in available(profile, CHURN).absent.values() if f" {table}." in reason]
    assert absent == [f"column {table}.{column}"] * features


def test_building_features_that_a_profile_lacks_is_refused_with_the_reason(orders_only: Profile) -> None:
    wanted = FeatureSet("wish", 1, (CATALOGUE["frequency"], CATALOGUE["nps_last_score"], CATALOGUE["tenure_days"]))
    with pytest.raises(FeaturesUnavailable) as refused:
        build_features(orders_only, wanted, [AT])
    assert str(refused.value) == (
        "feature set 'wish' needs 2 feature(s) that this profile cannot give: 'nps_last_score', 'tenure_days'; "
        "'nps_last_score' lacks table 'surveys'. Add the missing table or column, or train on this profile."
    )


def test_a_feature_computed_from_others_lacks_what_they_lack(orders_only: Profile) -> None:
    wanted = FeatureSet("wish", 1, (CATALOGUE["return_rate_365d"],))
    assert dict(available(orders_only, wanted).absent) == {"return_rate_365d": "column orders.is_return"}
