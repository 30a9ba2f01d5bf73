"""Plans: their file, whom they contact within budget and rules, and whom they hold back."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from features.instants import read_instant
from features.profile import Profile
from models.decision.power import power
from models.decision.uplift import KeptUplift, load_uplift, save_uplift
from serving.batch import score_profile
from serving.champion import Champion
from serving.errors import ContactsUnknown, ExpressionInvalid, PlanInvalid, ScoresUnfit, UpliftMissing
from serving.expression import Expression
from serving.manifest import SCORES, Manifest
from serving.plan import CONTROL, TREATMENT, Plan, for_people, make_plan
from serving.plan_config import PlanConfig, Rules, read_plan
from serving.plan_source import (
    Customers,
    Learned,
    contacted_lately,
    customers_of_profile,
    customers_of_scores,
    read_learners,
    scores_file,
)
from serving.scorer import Scorer

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "plan.yaml"
AT = read_instant("2024-12-31")
CALL = {
    "name": "call",
    "channel": "phone",
    "contact_cost": 5,
    "offer_cost": 10,
    "success_rate": {"mean": 0.3, "sample_size": 20},
}
LETTER = {"name": "letter", "channel": "post", "contact_cost": 1, "success_rate": {"mean": 0.05, "sample_size": 100}}


def config(**settings: Any) -> PlanConfig:
    return PlanConfig.model_validate({"name": "spring", "actions": [CALL, LETTER], **settings})


def people(count: int = 400, seed: int = 0, **columns: Any) -> Customers:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i:04d}" for i in range(count)],
            "probability_churned": generator.random(count),
            "clv": generator.gamma(2, 60, count),
            "clv_standard_deviation": 40.0,
            "segment": generator.choice(["new", "old"], count),
        }
    ).assign(**columns)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    instants = pa.array([AT] * count, pa.timestamp("us", tz="UTC"))
    return Customers("here", table.append_column("prediction_time", instants), AT)


def frame_of(plan: Plan) -> pd.DataFrame:
    frame: pd.DataFrame = plan.contacts.to_pandas()
    return frame


ROWS = pd.DataFrame(
    {
        "clv": [10.0, 60.0, np.nan],
        "band": ["low", "high", None],
        "is_new": [True, False, True],
        "count": pd.array([1, None, 3], dtype="Int64"),
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clv > 50", [False, True, False]),
        ("not clv > 50", [True, False, True]),
        ("band == 'high' or is_new", [True, True, True]),
        ("band != 'high'", [True, False, False]),
        ("band in ('low', 'other')", [True, False, False]),
        ("band not in ['low']", [False, True, False]),
        ("5 < clv <= 10", [True, False, False]),
        ("-clv + 2 * 30 >= 0 and not is_new", [False, True, False]),
        ("clv / 0 > 1", [True, True, False]),
        ("count >= 1", [True, False, True]),
        ("true_is == 1", None),
    ],
)
def test_conditions_say_which_rows(text: str, expected: list[bool] | None) -> None:
    if expected is None:
        with pytest.raises(ExpressionInvalid, match=r"no column 'true_is'.*one of clv"):
            Expression(text).where(ROWS)
    else:
        assert Expression(text).where(ROWS).tolist() == expected


def test_amounts_are_empty_where_they_cannot_be_calculated() -> None:
    assert Expression("clv / 2 - 1").amount(ROWS)[:2].tolist() == [4.0, 29.0]
    assert np.isnan(Expression("clv / (clv - 10)").amount(ROWS)).tolist() == [True, False, True]
    assert Expression("7").amount(ROWS).tolist() == [7.0] * 3


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "clv.mean()",
        "clv[0]",
        "lambda: 1",
        "clv ** 9",
        "clv if is_new else 1",
        "a := 1",
        "clv > ",
        "",
        "band in clv",
        "f'{clv}'",
        "(" * 300 + "1" + ")" * 300,
        "x" * 3000,
    ],
)
def test_code_is_no_expression(text: str) -> None:
    with pytest.raises(ExpressionInvalid) as problem:
        Expression(text)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("text", ["clv > 'high'", "band + 1 > 2", "clv and is_new", "clv", "band == 1"])
def test_kinds_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(ExpressionInvalid):
        Expression(text).where(ROWS)


@pytest.mark.parametrize("text", ["clv > 1", "band"])
def test_what_is_no_number_is_no_amount(text: str) -> None:
    with pytest.raises(ExpressionInvalid):
        Expression(text).amount(ROWS)


def test_the_example_is_a_plan() -> None:
    plan = read_plan(EXAMPLE)
    assert [action.name for action in plan.actions] == ["reminder", "voucher", "call"]
    success = plan.actions[0].success
    assert success is not None
    assert success.alpha == pytest.approx(8)


@pytest.mark.parametrize(
    ("change", "place", "found"),
    [
        ({"colour": 1}, "colour", "unknown name"),
        ({"budget": -1}, "budget", "-1"),
        ({"budget": float("nan")}, "budget", "nan"),
        ({"actions": []}, "actions", "[]"),
        (
            {"actions": [{**CALL, "success_rate": {"mean": 1.2, "sample_size": 5}}]},
            "actions.0.success_rate.mean",
            "1.2",
        ),
        ({"actions": [{**CALL, "success_rate": {"mean": 0.2}}]}, "actions.0.success_rate.sample_size", "nothing"),
        ({"actions": [{**CALL, "eligible": "clv.max()"}]}, "actions.0.eligible", "clv.max()"),
        ({"actions": [{**CALL, "uplift": True}]}, "actions.0", "both of success_rate and uplift"),
        ({"actions": [{"name": "x", "channel": "y", "contact_cost": 1}]}, "actions.0", "neither of success_rate"),
        ({"actions": [CALL, CALL]}, "", "'call' stands twice"),
        ({"channels": {"fax": {"maximum_contacts": 1}}}, "", "'fax' of no action"),
        ({"control": {"maximum_share": 0.9}}, "control.maximum_share", "0.9"),
        ({"name": None}, "name", "None"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_its_place(
    tmp_path: Path, change: dict[str, Any], place: str, found: str
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump({"name": "spring", "actions": [CALL], **change}))
    with pytest.raises(PlanInvalid) as problem:
        read_plan(file)
    line = str(problem.value)
    assert "\n" not in line
    assert place in line
    assert found in line
    assert "Allowed: " in line


@pytest.mark.parametrize("text", ["[1, 2]", "name: [", "", "\x00"])
def test_what_is_no_mapping_is_no_plan(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    with pytest.raises(PlanInvalid):
        read_plan(file)
    with pytest.raises(PlanInvalid, match="No such file"):
        read_plan(tmp_path / "none.yaml")


def test_without_limits_everyone_gets_the_action_that_pays_most() -> None:
    customers = people(control=0)
    plan = make_plan(customers, config(control={"maximum_share": 0}))
    frame = customers.table.to_pandas()
    p, v = frame["probability_churned"], frame["clv"]
    call, letter = p * (0.3 * (v - 10) - 5) - (1 - p) * 15, p * 0.05 * v - 1
    best = np.maximum(call, letter)
    expected = frame["customer_id"][best > 0]
    listed = frame_of(plan)
    assert set(listed["customer_id"]) == set(expected)
    assert listed["expected_profit"].sum() == pytest.approx(best[best > 0].sum())
    assert (listed["action"] == "call").sum() == ((call > letter) & (call > 0)).sum()
    assert listed["expected_profit"].is_monotonic_decreasing
    assert (listed["probability_churned"] > listed["break_even_probability"]).all()
    assert plan.summary["gap"] == pytest.approx(0)
    assert plan.summary["control"]["note"].startswith("no control group")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 3000), st.integers(0, 60), st.integers(0, 200))
def test_budget_and_channels_are_never_exceeded(seed: int, budget: float, phone: int, post: int) -> None:
    limits = {"phone": {"maximum_contacts": phone}, "post": {"maximum_contacts": post}}
    plan = make_plan(people(200, seed), config(budget=budget, channels=limits))
    listed = frame_of(plan)
    assert listed["highest_cost"].sum() <= budget + 1e-9
    assert (listed["channel"] == "phone").sum() <= phone
    assert (listed["channel"] == "post").sum() <= post
    assert listed["customer_id"].is_unique
    assert plan.summary["highest_cost"] <= budget + 0.01
    assert plan.summary["bound_of_list"] >= plan.summary["profit_of_list"] - 0.01


def test_a_larger_budget_never_brings_less() -> None:
    profits = [make_plan(people(), config(budget=b)).summary["profit_of_list"] for b in (100, 500, 1000, 5000)]
    assert profits == sorted(profits)
    assert profits[0] > 0


def test_rules_leave_customers_alone_and_are_counted_once() -> None:
    customers = people(100)
    quiet = Customers("here", customers.table, AT, frozenset({"c0001", "c0002"}))
    rules = {"exclude_customers": ["c0001", "nobody"], "exclude": "segment == 'old'", "quiet_days": 5}
    plan = make_plan(quiet, config(rules=rules))
    frame = customers.table.to_pandas().set_index("customer_id")
    old = frame.index[frame["segment"] == "old"]
    assert not set(frame_of(plan)["customer_id"]) & ({"c0001", "c0002"} | set(old))
    assert plan.summary["excluded_by_reason"] == {
        "excluded by id": 1,
        "excluded by condition": len(set(old) - {"c0001"}),
        **({"contacted in the last 5 days": 1} if frame.loc["c0002", "segment"] == "new" else {}),
    }
    assert plan.summary["considered"] == 100 - sum(plan.summary["excluded_by_reason"].values())


def test_actions_go_to_the_eligible_only() -> None:
    call = {**CALL, "eligible": "segment == 'old' and clv > 100"}
    customers = people()
    listed = frame_of(make_plan(customers, config(actions=[call])))
    frame = customers.table.to_pandas().set_index("customer_id").loc[listed["customer_id"]]
    assert len(listed) > 10
    assert ((frame["segment"] == "old") & (frame["clv"] > 100)).all()


def test_customers_without_a_value_are_left_alone() -> None:
    customers = people(50, clv=np.r_[np.nan, np.full(49, 500.0)])
    plan = make_plan(customers, config())
    assert plan.summary["excluded_by_reason"] == {"without a probability or a value": 1}


def test_the_same_plan_draws_the_same_control_group_and_another_name_another() -> None:
    drawn = [
        frame_of(make_plan(people(2000), config(**more))).set_index("customer_id")["group"].sort_index()
        for more in ({}, {}, {"name": "summer"}, {"seed": 1})
    ]
    assert drawn[0].equals(drawn[1])
    for other in drawn[2:]:
        assert (drawn[0] == CONTROL).sum() == (other == CONTROL).sum() > 20
        assert not drawn[0].equals(other)


def test_the_control_group_is_as_large_as_the_effect_takes_and_random() -> None:
    plan = make_plan(people(4000), config(control={"effect": 0.15, "maximum_share": 0.5}))
    control, listed = plan.summary["control"], frame_of(plan)
    held = listed[listed["group"] == CONTROL]
    size, treated = len(held), (listed["group"] == TREATMENT).sum()
    rate = listed["probability_churned"].mean()
    assert (size, control["needed"]) == (control["customers"], control["customers"])
    assert power(rate, rate - 0.15, size, treated) >= 0.8 > power(rate, rate - 0.15, size - 1, treated + 1)
    # by lot: the groups' mean probability differs by chance only, 4 standard errors (1 in 16,000)
    contacted = listed[listed["group"] == TREATMENT]
    error = listed["probability_churned"].std() * np.sqrt(1 / size + 1 / treated)
    assert abs(held["probability_churned"].mean() - contacted["probability_churned"].mean()) < 4 * error


def test_a_list_that_is_too_small_says_what_it_can_show() -> None:
    control = make_plan(people(100), config(control={"effect": 0.01})).summary["control"]
    assert control["needed"] is None
    assert "too few customers" in control["note"]
    assert control["detectable_effect"] > 0.1
    capped = make_plan(people(4000), config(control={"effect": 0.15, "maximum_share": 0.02})).summary["control"]
    assert capped["needed"] > capped["customers"]
    assert "maximum_share allows" in capped["note"]


def test_the_interval_of_the_profit_holds_what_happens() -> None:
    customers = people(300, clv_standard_deviation=40.0)
    plan = make_plan(customers, config(control={"maximum_share": 0}, value_error=0.1))
    listed, generator = frame_of(plan), np.random.default_rng(2)
    is_call = (listed["action"] == "call").to_numpy()
    offer, contact = np.where(is_call, 10.0, 0.0), np.where(is_call, 5.0, 1.0)
    value, probability = listed["value"].to_numpy(), listed["probability_churned"].to_numpy()
    low, high = plan.summary["expected_profit_low_90"], plan.summary["expected_profit_high_90"]
    totals = []
    for _ in range(2_000):
        rate = np.where(is_call, generator.beta(6, 14), generator.beta(5, 95))
        leaves = generator.random(len(listed)) < probability
        kept = leaves & (generator.random(len(listed)) < rate)
        worth = value * (1 + 0.1 * generator.standard_normal()) + 40 * generator.standard_normal(len(listed))
        totals.append(float((np.where(kept, worth, 0) - np.where(leaves & ~kept, 0, offer) - contact).sum()))
    inside = np.mean([low <= total <= high for total in totals])
    assert inside == pytest.approx(0.9, abs=0.03)  # its own error: 0.7 %; the rest is skew
    assert np.mean(totals) == pytest.approx(plan.summary["expected_profit"], rel=0.03)


def test_nobody_worth_contacting_is_an_empty_list() -> None:
    plan = make_plan(people(20, clv=1.0), config())
    assert plan.contacts.num_rows == 0
    assert plan.contacts.schema.field("group").type == pa.string()
    assert plan.summary["expected_profit"] == 0
    assert plan.summary["control"]["customers"] == 0


LETTER_LEARNED = {"name": "letter", "channel": "post", "contact_cost": 1, "offer_cost": 2, "uplift": True}


def learned(verdict: str = "targets", outcome: str = "order") -> KeptUplift:
    """What a campaign has shown, without the model."""
    nothing: Any = None
    effect = {"value": 0.05, "low_90": 0.02, "high_90": 0.08}
    found = {"verdict": verdict, "outcome": outcome, "effect": effect, "words": "no difference could be seen"}
    return KeptUplift(nothing, nothing, found)


def test_a_learned_effect_decides_by_uplift_whoever_would_leave() -> None:
    customers = people(300, clv=100.0)
    uplift = np.random.default_rng(3).normal(0, 0.1, 300)
    frame = customers.table.to_pandas()
    plan_it = replace(customers, learned={"letter": Learned(learned(), uplift)})
    plan = make_plan(plan_it, config(actions=[LETTER_LEARNED], control={"maximum_share": 0}))
    expected = uplift * 100 - 2 * (1 - frame["probability_churned"] + uplift) - 1
    listed = frame_of(plan)
    assert set(listed["customer_id"]) == set(frame["customer_id"][expected > 0])
    assert listed["expected_profit"].sum() == pytest.approx(expected[expected > 0].sum())
    assert listed["break_even_probability"].isna().all()
    assert plan.summary["actions"][0]["alone"]["ranked_by"] == "uplift"
    # the level of the uplift is known to 0.03 / 1.645: the interval of the profit is wider than chance alone makes it
    level = (100 - 2) * len(listed) * 0.03
    assert plan.summary["expected_profit_high_90"] - plan.summary["expected_profit"] > level


def test_uplift_in_margin_is_what_a_contact_brings() -> None:
    customers = people(200)
    uplift = np.random.default_rng(4).normal(0, 5, 200)
    action = {**LETTER_LEARNED, "offer_cost": 0}
    plan_it = replace(customers, learned={"letter": Learned(learned(outcome="margin"), uplift)})
    plan = make_plan(plan_it, config(actions=[action], control={"maximum_share": 0}))
    assert plan.summary["expected_profit"] == pytest.approx((uplift - 1)[uplift > 1].sum(), abs=0.01)


def test_without_an_experiment_that_tells_customers_apart_there_is_no_targeting_by_uplift() -> None:
    plan = config(actions=[LETTER_LEARNED])
    with pytest.raises(ScoresUnfit, match="patron uplift learned"):
        make_plan(people(20), plan)
    seen_nothing = replace(people(20), learned={"letter": Learned(learned("no target"), np.ones(20))})
    with pytest.raises(ScoresUnfit, match="no difference could be seen"):
        make_plan(seen_nothing, plan)


def test_each_action_has_what_its_own_campaign_has_shown() -> None:
    customers = people(100, clv=100.0)
    one, other = np.linspace(0.1, -0.1, 100), np.linspace(-0.1, 0.1, 100)
    actions = [{**LETTER_LEARNED, "name": name, "offer_cost": 0, "uplift": name} for name in ("letter", "card")]
    shown = {"letter": Learned(learned(), one), "card": Learned(learned(), other)}
    plan = make_plan(replace(customers, learned=shown), config(actions=actions, control={"maximum_share": 0}))
    place = frame_of(plan)["customer_id"].str[1:].astype(int)
    assert (frame_of(plan)["action"] == np.where(place < 50, "letter", "card")).all()
    assert frame_of(plan)["effect"].to_numpy() == pytest.approx(np.maximum(one, other)[place])


def test_a_profile_is_told_its_uplift(simulated: Profile, quick: Scorer, tmp_path: Path) -> None:
    from training.experiment import ExperimentConfig
    from training.uplift import fit_uplift

    kept = fit_uplift(simulated, ExperimentConfig(horizon_days=60)).kept
    customers = customers_of_profile(simulated, AT, quick, Rules(), {"letter": kept})
    uplift = customers.learned["letter"].uplift
    assert len(uplift) == customers.table.num_rows
    assert len(np.unique(uplift)) > 10
    place = save_uplift(kept, tmp_path / "spring")
    named = {**LETTER_LEARNED, "name": "named", "uplift": "spring"}
    found = read_learners(config(actions=[LETTER_LEARNED, named, CALL]), tmp_path / "plan.yaml", place)
    assert {name: each.contract for name, each in found.items()} == {"letter": kept.contract, "named": kept.contract}
    with pytest.raises(UpliftMissing, match=r"action 'letter'.*no folder 'nowhere'.*patron uplift PROFILE"):
        read_learners(config(actions=[LETTER_LEARNED]), tmp_path / "plan.yaml", Path("nowhere"))


def test_scores_without_what_a_plan_takes_are_refused() -> None:
    table = people(5).table
    for lacking in ("probability_churned", "clv"):
        with pytest.raises(ScoresUnfit, match=lacking):
            make_plan(Customers("here", table.drop_columns([lacking]), AT), config())


def test_recently_contacted_are_those_known_by_then_and_not_held_back(
    make_profile: Callable[..., Profile], make_orders: Callable[..., pd.DataFrame]
) -> None:
    ids = ["sent", "held", "early", "late", "mailed", "viewed"]
    campaigns = pd.DataFrame(
        {
            "customer_id": ids[:4],
            "campaign_id": "x",
            "event_time": pd.to_datetime(["2024-12-25", "2024-12-25", "2024-12-01", "2024-12-31"], utc=True),
            "is_control": [False, True, False, False],
        }
    )
    events = pd.DataFrame(
        {
            "customer_id": ids[4:],
            "event_time": pd.to_datetime(["2024-12-30", "2024-12-30"], utc=True),
            "kind": ["email_sent", "page_view"],
        }
    )
    orders = make_orders(("sent", "2024-01-01", 5.0))
    profile = make_profile(orders, campaigns=campaigns, events=events)
    assert contacted_lately(profile, AT, Rules(quiet_days=7)) == {"sent", "mailed"}
    assert contacted_lately(profile, AT, Rules(quiet_days=60, contact_kinds=("page_view",))) == {
        "sent",
        "early",
        "viewed",
    }
    with pytest.raises(ContactsUnknown, match="quiet_days is 7"):
        contacted_lately(make_profile(orders), AT, Rules(quiet_days=7))


def test_scores_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    assert scores_file(str(tmp_path)) is None
    (tmp_path / SCORES).write_text("damaged")
    file = scores_file(str(tmp_path))
    assert file == tmp_path / SCORES == scores_file(str(file))
    with pytest.raises(ScoresUnfit):
        customers_of_scores(file, Rules(), None)
    pq.write_table(people(5).table, file)
    with pytest.raises(ContactsUnknown, match="--profile"):
        customers_of_scores(file, Rules(quiet_days=3), None)


@pytest.fixture(scope="module")
def quick(simulated: Profile) -> Scorer:
    """Champions that are fitted in no time."""
    from training.config import TrainConfig
    from training.fit import fit

    families = {"churn": "churn_logistic", "clv": "clv_bgnbd"}
    config = TrainConfig(horizon_days=90, refit=False)
    return Scorer(
        {task: Champion("1", fit(task, simulated, config, families[task])[0].final) for task in ("churn", "clv")}
    )


@pytest.fixture(scope="module")
def scored(quick: Scorer, simulated: Profile, tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Path]:
    """Their batch run."""
    folder = tmp_path_factory.mktemp("scored") / "scores"
    return score_profile(simulated, AT, folder, quick, reasons="all"), folder


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quick: Scorer, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Runs `patron` with these champions and gives the document it prints."""
    import patron

    monkeypatch.setenv("PATRON_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("serving.loader.load_champions", lambda *_: quick.champions)

    def command(*arguments: object) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["patron", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            patron.main()
        captured = capsys.readouterr()
        assert not ended.value.code, captured.err
        document: dict[str, Any] = json.loads(captured.out) if "--json" in arguments else {"text": captured.out}
        return document

    return command


def test_the_example_plans_a_profile_and_its_scores_alike(
    run: Callable[..., dict[str, Any]], simulated_folder: Path, scored: tuple[Manifest, Path], tmp_path: Path
) -> None:
    of_profile = ("plan", simulated_folder, "--config", EXAMPLE, "--at", "2024-12-31")
    direct = run(*of_profile, "-o", tmp_path / "a.parquet", "--json")
    manifest, folder = scored
    of_scores = ("plan", folder, "--config", EXAMPLE, "--profile", simulated_folder)
    from_scores = run(*of_scores, "-o", tmp_path / "b.csv", "--json")
    assert {**direct, "output": ""} == {**from_scores, "output": ""}
    assert direct["considered"] + sum(direct["excluded_by_reason"].values()) == direct["customers"] == manifest.scored
    assert direct["highest_cost"] <= direct["budget"]
    assert direct["gap"] < 0.01
    listed = pq.read_table(tmp_path / "a.parquet")
    assert listed.num_rows == direct["listed"] > 20
    assert direct["contacts"] + direct["control"]["customers"] == direct["listed"]
    assert all(listed["reasons"].to_pylist())
    changes = [text for text in listed["what_would_change"].to_pylist() if text]
    assert changes
    assert all(text.endswith("(association, not cause)") for text in changes)
    again = pyarrow.csv.read_csv(tmp_path / "b.csv")
    assert again["customer_id"].to_pylist() == listed["customer_id"].to_pylist()
    assert again["group"].to_pylist() == listed["group"].to_pylist()
    shown = run(*of_profile, "-o", tmp_path / "c.csv")["text"]
    assert "control group" in shown
    assert f"lower it by {100 * direct['control']['expected_effect']:.1f} points" in shown
    assert f"{direct['expected_profit']:,.2f} EUR" in shown
    assert "(simulated)" in shown


def test_a_list_for_people_has_few_digits_and_the_same_customers() -> None:
    contacts = make_plan(people(50), config()).contacts
    shown = for_people(contacts)
    assert shown.column_names == contacts.column_names
    assert shown["customer_id"].equals(contacts["customer_id"])
    exact, rounded = contacts.to_pylist()[0], shown.to_pylist()[0]
    assert rounded["expected_profit"] == round(exact["expected_profit"], 2)
    assert rounded["probability_churned"] == round(exact["probability_churned"], 4)
    assert rounded["prediction_time"] == "2024-12-31T00:00:00Z"


def test_an_action_says_for_how_many_it_pays() -> None:
    customers = people(200)
    frame = customers.table.to_pandas()
    made = make_plan(customers, config(actions=[LETTER], budget=0, control={"maximum_share": 0}))
    gains = frame["probability_churned"] * 0.05 * frame["clv"] - 1
    assert made.summary["actions"][0]["pays_for"] == (gains > 0).sum() > 0
    assert made.summary["actions"][0]["contacts"] == 0


def test_a_campaign_that_changed_nothing_is_found_to_have_and_plans_nothing(
    run: Callable[..., dict[str, Any]], simulated_folder: Path, tmp_path: Path
) -> None:
    import mlflow

    shown = run("uplift", simulated_folder, "--horizon-days", 60, "-o", tmp_path / "kept")["text"]
    found = load_uplift(tmp_path / "kept").found
    assert found["verdict"] in ("no target", "targets")  # a false alarm is one in twelve
    assert found["balance"]["is_random"]
    assert found["effect"]["low_90"] < found["effect"]["value"] < found["effect"]["high_90"]
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/home/mlflow.db")
    names = {each.name: each.experiment_id for each in client.search_experiments()}
    (logged,) = client.search_runs([names["uplift"]])
    assert logged.data.metrics["uplift_x/qini"] == found["learners"]["uplift_x"]["qini"]["value"]
    assert logged.data.params["outcome"] == "order"
    assert {file.path for file in client.list_artifacts(logged.info.run_id)} == {"model", "curves.csv", "uplift.json"}
    assert "Qini coefficient after Radcliffe" in shown
    assert found["words"] in shown.replace("\n", " ")


@pytest.mark.parametrize(
    "options", [("{scores}", "--at", "2024-12-31"), ("{scores}", "--uplift", "x"), ("{folder}", "--profile", "x")]
)
def test_options_that_do_not_belong_together_are_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...]
) -> None:
    import patron

    (tmp_path / SCORES).touch()
    places = [option.format(scores=tmp_path, folder=tmp_path / "none") for option in options]
    command = ["patron", "plan", *places, "--config", str(EXAMPLE), "-o", str(tmp_path / "list.csv")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        patron.main()
    assert ended.value.code == 2
    assert not (tmp_path / "list.csv").exists()
