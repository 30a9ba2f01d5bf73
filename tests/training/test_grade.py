from typing import Any

import numpy as np
import pytest

from models.base import Array
from models.families import Task
from training.evaluation.grade import RULE, Skill, grade, rule_of, skill
from training.evaluation.levels import LEVELS

GOOD: dict[str, Any] = {"calibrated": True, "strictly": True, "rows": 500, "rare": 100}


@pytest.mark.parametrize(
    ("found", "changed", "letter"),
    [
        (Skill(0.10, 0.05, 0.15), {}, "A"),
        (Skill(0.0999, 0.05, 0.15), {}, "B"),
        (Skill(0.30, 0.25, 0.35), {"strictly": False}, "B"),
        (Skill(0.30, 0.25, 0.35), {"rows": 499}, "B"),
        (Skill(0.30, 0.25, 0.35), {"rare": 99}, "B"),
        (Skill(0.05, 0.01, 0.09), {}, "B"),
        (Skill(0.0499, 0.01, 0.09), {}, "C"),
        (Skill(0.30, 0.25, 0.35), {"calibrated": False, "strictly": False}, "C"),
        (Skill(0.01, 0.0001, 0.02), {}, "C"),
        (Skill(0.30, 0.0, 0.60), {}, "D"),
        (Skill(0.30, -0.01, 0.61), {}, "D"),
        (Skill(-0.10, -0.15, -0.05), {}, "D"),
    ],
)
def test_grade_follows_the_published_rule(found: Skill, changed: dict[str, Any], letter: str) -> None:
    assert grade(found, **(GOOD | changed)) == letter


def test_every_grade_has_its_rule_in_words() -> None:
    assert list(RULE) == ["A", "B", "C", "D"]


def test_what_is_asked_of_classifiers_is_told_of_them_alone() -> None:
    assert rule_of("B", "churn") == f"{RULE['B']}; not clearly worse than logistic regression"
    assert rule_of("B", "clv") == RULE["B"]
    assert rule_of("D", "propensity") == RULE["D"]


def test_skill_by_hand() -> None:
    # gains 1, 3, 2 of losses that mean 4: mean gain 2, standard error 1 / sqrt(3)
    found = skill(np.array([3.0, 1.0, 2.0]), np.array([4.0, 4.0, 4.0]))
    error = 1 / np.sqrt(3)
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx(((2 - 1.6449 * error) / 4, (2 + 1.6449 * error) / 4))


def test_flawless_model_has_skill_one() -> None:
    assert skill(np.zeros(10), np.linspace(1, 2, 10)).value == pytest.approx(1.0)


def test_skill_is_measured_from_the_flawless_loss() -> None:
    found = skill(np.full(10, -0.5), np.full(10, 0.0), perfect_loss=-1.0)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_skill_of_a_model_against_itself_is_zero() -> None:
    losses = np.linspace(0.1, 2, 50)
    assert skill(losses, losses) == Skill(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("losses", "rival"),
    [([0.2], [0.4]), ([0.0, 0.0], [0.0, 0.0]), ([0.1, 0.1], [0.0, 0.0])],
    ids=["one row", "both flawless", "flawless rival"],
)
def test_comparison_without_evidence_gives_no_skill(losses: list[float], rival: list[float]) -> None:
    found = skill(np.array(losses), np.array(rival))
    assert found == Skill(0.0, 0.0, 0.0)
    assert grade(found, **GOOD) == "D"


@pytest.fixture(scope="module")
def equal_models() -> list[Skill]:
    """Skill of a model against an equally good one, on 2,000 fresh holdouts of 400 rows."""
    generator = np.random.default_rng(23)

    def losses() -> Array:
        return generator.gamma(2.0, 0.3, 400)

    return [skill(losses(), losses()) for _ in range(2_000)]


def test_equal_models_are_found_better_in_one_of_twenty(equal_models: list[Skill]) -> None:
    better = np.mean([found.low > 0 for found in equal_models])
    # four standard errors of 2,000 holdouts are 0.02
    assert better == pytest.approx(0.05, abs=0.02)


def test_interval_of_equal_models_covers_zero_nine_times_in_ten(equal_models: list[Skill]) -> None:
    covered = np.mean([found.low <= 0 <= found.high for found in equal_models])
    # four standard errors of 2,000 holdouts are 0.027
    assert covered == pytest.approx(0.90, abs=0.027)


def test_equal_models_seldom_get_another_grade_than_d(equal_models: list[Skill]) -> None:
    grades = [grade(found, **GOOD) for found in equal_models]
    assert grades.count("D") / len(grades) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("task", "trusted", "strictly"),
    [("churn", 0.05, 0.03), ("propensity", 0.05, 0.03), ("clv", -0.25, 0.15), ("segments", 0.6, 0.8)],
)
def test_a_level_is_trusted_up_to_its_limit_and_never_without_a_figure(
    task: Task, trusted: float, strictly: float
) -> None:
    level = LEVELS[task]
    beyond = trusted - 1e-9 if trusted < 0 or task == "segments" else trusted + 1e-9
    assert level.holds({level.metric: trusted})
    assert not level.holds({level.metric: beyond})
    assert not level.holds({level.metric: trusted}, strictly=True)
    assert level.holds({level.metric: strictly}, strictly=True)
    assert not level.holds({level.metric: float("nan")})
