import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.errors import ParameterOutOfRange, TooFewRows, WrongValues
from models.segments.kmeans import Choice, SegmentsKMeans, _choose
from models.segments.rfm import NAMES, SegmentsRFM

Array = npt.NDArray[np.float64]
BOTH = pytest.mark.parametrize("family", [SegmentsKMeans, SegmentsRFM])

# Days since the last order, repeat order days, mean order value: centres of groups that nobody could mistake.
GROUPS = np.array([(8.0, 12.0, 80.0), (200.0, 8.0, 20.0), (400.0, 0.3, 150.0), (15.0, 0.3, 10.0)])


def frame(points: Array) -> pd.DataFrame:
    return pd.DataFrame(points, columns=["days_since_last_order", "frequency", "order_value_mean"])


def blobs(centers: Array = GROUPS, each: int = 150, seed: int = 0) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(centers)), each)
    points = np.log1p(centers)[group] + generator.normal(0, 0.08, (len(group), 3))
    return frame(np.expm1(np.maximum(points, 0))), group


def cloud(customers: int = 600, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return frame(np.expm1(generator.normal(3, 0.5, (customers, 3))))


@pytest.fixture(scope="module")
def separated() -> SegmentsKMeans:
    return SegmentsKMeans().fit(blobs()[0])


def names_of_groups(model: SegmentsKMeans, rows: pd.DataFrame, group: npt.NDArray[np.int64]) -> list[str]:
    segment = model.score(rows)["segment"]
    return [str(segment[group == number].mode()[0]) for number in np.unique(group)]


def test_well_separated_groups_are_found_and_counted(separated: SegmentsKMeans) -> None:
    rows, group = blobs()
    model = separated
    assert len(model.centers_) == len(GROUPS)
    assert adjusted_rand_score(group, model.score(rows)["segment_id"]) > 0.95
    assert model.warnings_ == ()
    assert model.fitted_parameters() == {"clusters": 4.0}


def test_well_separated_groups_are_found_among_customers_never_seen(separated: SegmentsKMeans) -> None:
    rows, group = blobs(seed=1)
    assert adjusted_rand_score(group, separated.score(rows)["segment_id"]) > 0.95


@pytest.mark.parametrize("groups", [3, 5])
def test_the_number_of_well_separated_groups_is_found(groups: int) -> None:
    centers = np.vstack([GROUPS, [(100.0, 3.0, 60.0)]])[:groups]
    assert len(SegmentsKMeans(most_clusters=6).fit(blobs(centers)[0]).centers_) == groups


def test_names_are_unique_and_one_to_one_with_ids() -> None:
    rows = cloud()
    model = SegmentsKMeans(clusters=8).fit(rows)
    scores = model.score(rows)
    assert len(set(model.names_)) == 8
    assert scores.groupby("segment_id")["segment"].nunique().eq(1).all()
    assert scores["segment"].nunique() == scores["segment_id"].nunique()


def test_ids_fall_with_worth() -> None:
    rows = frame(np.array([(5.0, 20, 90), (60, 5, 50), (300, 1, 20)])[np.repeat([2, 0, 1], 40)])
    scores = SegmentsKMeans(clusters=3).fit(rows).score(rows)
    by_segment = rows.groupby(scores["segment_id"]).mean()
    assert by_segment["frequency"].to_list() == pytest.approx([20, 5, 1])
    assert by_segment["days_since_last_order"].is_monotonic_increasing


def test_groups_are_named_by_recency_and_repeat_orders(separated: SegmentsKMeans) -> None:
    found = names_of_groups(separated, *blobs())
    assert found == ["Champions", "Slipping champions", "One-time", "New"]


def test_groups_of_one_name_are_told_apart_by_what_they_spent() -> None:
    centers = np.array([(10.0, 10.0, 5.0), (10.0, 10.0, 50.0), (10.0, 10.0, 500.0), (200.0, 0.1, 50.0)])
    rows, group = blobs(centers)
    found = names_of_groups(SegmentsKMeans(clusters=4).fit(rows), rows, group)[:3]
    assert found == ["Champions, lower spend", "Champions, medium spend", "Champions, higher spend"]


def test_who_orders_more_often_for_less_has_spent_more() -> None:
    rows, group = blobs(np.array([(10.0, 40.0, 20.0), (10.0, 5.0, 60.0), (200.0, 0.1, 50.0)]))
    found = names_of_groups(SegmentsKMeans(clusters=3).fit(rows), rows, group)[:2]
    assert found == ["Champions, higher spend", "Champions, lower spend"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_cloud_without_groups_is_said_to_be_one(seed: int) -> None:
    model = SegmentsKMeans().fit(cloud(seed=seed))
    assert len(model.warnings_) == 1
    assert model.warnings_[0].startswith("low evidence: no number of clusters gives the same segments again")


def test_a_refit_forgets_earlier_warnings() -> None:
    assert SegmentsKMeans(most_clusters=4).fit(cloud()).fit(blobs()[0]).warnings_ == ()


def test_a_number_of_clusters_that_was_given_is_taken() -> None:
    assert len(SegmentsKMeans(clusters=5).fit(blobs()[0]).centers_) == 5


@pytest.mark.parametrize(
    ("choices", "chosen"),
    [
        ([Choice(3, 0.4, 0.95, 0.2), Choice(4, 0.6, 0.85, 0.2), Choice(5, 0.9, 0.5, 0.2)], 4),
        ([Choice(3, 0.4, 0.95, 0.2), Choice(4, 0.6, 0.99, 0.01)], 3),
        ([Choice(3, 0.5, 0.9, 0.2), Choice(4, 0.5, 0.95, 0.2)], 3),
        ([Choice(3, 0.9, 0.5, 0.2), Choice(4, 0.3, 0.6, 0.2), Choice(5, 0.4, 0.6, 0.2)], 4),
    ],
    ids=["clearest of the stable", "no tiny cluster", "fewer when equally clear", "none stable: most stable, fewest"],
)
def test_k_is_the_clearest_of_those_whose_clusters_come_back(choices: list[Choice], chosen: int) -> None:
    assert _choose(tuple(choices)) == chosen


def test_centres_do_not_depend_on_the_number_of_threads() -> None:
    rows = cloud(3_000)
    centers = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            centers.append(SegmentsKMeans(clusters=5).fit(rows).centers_)
    assert np.array_equal(centers[0], centers[1])


@pytest.mark.parametrize(("clusters", "needed"), [(None, 30), (4, 40)])
def test_too_few_customers_for_the_clusters_are_refused(clusters: int | None, needed: int) -> None:
    with pytest.raises(TooFewRows, match=f"too few customers: found {needed - 1}, needed at least {needed}"):
        SegmentsKMeans(clusters=clusters).fit(cloud(needed - 1))


def test_too_few_customers_for_fifths_are_refused() -> None:
    with pytest.raises(TooFewRows, match="too few customers: found 29, needed at least 30"):
        SegmentsRFM().fit(cloud(29))


def test_customers_who_are_all_the_same_are_refused() -> None:
    with pytest.raises(TooFewRows, match="too few distinct customers: found 1, needed at least 2"):
        SegmentsKMeans().fit(frame(np.full((100, 3), 4.0)))


@pytest.mark.parametrize("distinct", [2, 3, 5])
def test_no_more_segments_are_made_than_there_are_distinct_customers(distinct: int) -> None:
    points = np.expm1(np.arange(distinct, dtype=np.float64))[np.arange(120) % distinct]
    rows = frame(np.column_stack([points, points, points]))
    model = SegmentsKMeans().fit(rows)
    assert model.score(rows)["segment_id"].nunique() == len(model.centers_) == distinct


def test_a_resample_without_a_rare_customer_is_no_problem() -> None:
    rare = frame(np.array([(1.0, 2, 3)] * 57 + [(9.0, 9, 9), (50.0, 1, 700), (500.0, 0, 2)]))
    model = SegmentsKMeans().fit(rare)
    assert model.score(rare)["segment_id"].nunique() == len(model.centers_)


@pytest.mark.parametrize("setting", ["clusters", "most_clusters"])
@pytest.mark.parametrize("number", [-1, 0, 1])
def test_fewer_than_two_clusters_are_refused(setting: str, number: int) -> None:
    with pytest.raises(ParameterOutOfRange, match=f"{setting} is {number}. Allowed: 2 or more"):
        SegmentsKMeans(**{setting: number}).fit(cloud(100))


@BOTH
def test_a_customer_without_an_order_is_refused_when_fitted_and_when_scored(
    family: type[SegmentsKMeans | SegmentsRFM],
) -> None:
    rows = cloud(100)
    model = family().fit(rows)
    rows.loc[3, "order_value_mean"] = np.nan
    for attempt in (family().fit, model.score):
        with pytest.raises(WrongValues, match=r"'order_value_mean' holds 1 value"):
            attempt(rows)


@BOTH
def test_explanations_are_standard_deviations_from_the_average_customer(
    family: type[SegmentsKMeans | SegmentsRFM],
) -> None:
    rows = cloud()
    shares = family().fit(rows).explain(rows)
    np.testing.assert_allclose(shares.mean(), 0, atol=1e-12)
    np.testing.assert_allclose(shares.std(ddof=0), 1, rtol=1e-12)


@BOTH
def test_a_column_in_which_all_customers_are_alike_explains_nothing(
    family: type[SegmentsKMeans | SegmentsRFM],
) -> None:
    rows = cloud(100).assign(frequency=2.0)
    assert (family().fit(rows).explain(rows)["frequency"].abs() < 1e-9).all()


def test_rfm_borders_are_the_fifths() -> None:
    hundred = np.arange(1.0, 101.0)
    model = SegmentsRFM().fit(frame(np.column_stack([hundred, hundred[::-1], hundred])))
    for name in ("days_since_last_order", "frequency", "order_value_mean"):
        assert model.borders_[name].tolist() == pytest.approx([20.8, 40.6, 60.4, 80.2])


# Recency score 5 (most recent) to 1 down the page; mean of the frequency and value scores across.
WORTH = [1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]
TABLE = {
    5: ["New", "New", "Promising", "Promising", "Loyal", "Loyal", "Champions", "Champions", "Champions"],
    4: ["New", "New", "Promising", "Promising", "Loyal", "Loyal", "Champions", "Champions", "Champions"],
    3: ["Needs attention"] * 6 + ["Loyal"] * 3,
    2: ["Lost"] * 2 + ["Hibernating"] * 3 + ["At risk"] * 4,
    1: ["Lost"] * 2 + ["Hibernating"] * 3 + ["At risk"] * 4,
}


@pytest.fixture(scope="module")
def ruled() -> SegmentsRFM:
    hundred = np.arange(1.0, 101.0)
    return SegmentsRFM().fit(frame(np.column_stack([hundred, hundred, hundred])))


@pytest.mark.parametrize("recency", TABLE)
def test_rfm_names_follow_the_table(ruled: SegmentsRFM, recency: int) -> None:
    fifth = {score: 20.0 * score - 10 for score in range(1, 6)}
    rows = frame(
        np.array([(fifth[6 - recency], fifth[int(np.ceil(worth))], fifth[int(np.floor(worth))]) for worth in WORTH])
    )
    scores = ruled.score(rows)
    assert scores["segment"].to_list() == TABLE[recency]
    assert [NAMES[i] for i in scores["segment_id"]] == TABLE[recency]


def test_rfm_counts_a_customer_at_a_border_to_the_lower_fifth(ruled: SegmentsRFM) -> None:
    border = ruled.borders_["days_since_last_order"][1]
    at, above = frame(np.array([(border, 90.0, 90.0), (np.nextafter(border, 100), 90.0, 90.0)])).pipe(
        lambda rows: ruled.score(rows)["segment"]
    )
    assert (at, above) == ("Champions", "Loyal")


def test_rfm_works_where_most_customers_never_came_back() -> None:
    points = np.column_stack([np.arange(1.0, 101), np.r_[np.zeros(90), np.arange(1.0, 11)], np.arange(1.0, 101)])
    scores = SegmentsRFM().fit(frame(points)).score(frame(points))
    assert scores["segment"].nunique() >= 4
