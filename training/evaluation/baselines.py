"""What a model is held to: named baselines, the simpler model beside it, and the choice of the simpler one in doubt."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.families import family
from training.evaluation.grade import Skill, grade, skill
from training.rows.splits import Split
from training.task import Measured, TaskJob


@dataclass(frozen=True)
class Compared:
    """A model against everything that it is measured beside.

    Parameters
    ----------
    name : str
        The baseline that did best on the same rows.
    baseline : Measured
        Its figures.
    skill : Skill
        Over it.
    over : mapping of str to Skill
        Over every baseline and the simpler model, by name.
    outdone : bool
        Whether the model is clearly worse than the simpler one.
    """

    name: str
    baseline: Measured
    skill: Skill
    over: Mapping[str, Skill]
    outdone: bool

    def metrics(self) -> dict[str, float]:
        """Every skill with its interval, by ``skill_over_<name>``, and that over the best baseline as ``skill``."""
        named = {"skill": self.skill, **{f"skill_over_{name}": found for name, found in self.over.items()}}
        ends = {"": "value", "_low": "low", "_high": "high"}
        return {f"{name}{end}": getattr(found, part) for name, found in named.items() for end, part in ends.items()}


def compare(
    name: str,
    measured: Measured,
    baselines: Mapping[str, Measured],
    perfect_loss: float,
    beside: Mapping[str, Measured] | None = None,
) -> Compared:
    """Hold a model to the best of its baselines.

    Parameters
    ----------
    name : str
        The model's family; a baseline is held to the others, if there are any.
    measured : Measured
        The model.
    baselines : mapping of str to Measured
        By name, on the same rows.
    perfect_loss : float
        Mean loss of a flawless model.
    beside : mapping of str to Measured, optional
        The simpler model.
    """
    others = {other: found for other, found in baselines.items() if other != name} or baselines
    simpler = {other: found for other, found in (beside or {}).items() if other != name}

    def over(rival: Measured) -> Skill:
        return skill(measured.losses, rival.losses, perfect_loss, measured.people)

    best = min(others, key=lambda other: float(others[other].losses.mean()))
    found = {other: over(rival) for other, rival in {**others, **simpler}.items()}
    outdone = any(found[other].high < 0 for other in simpler)
    return Compared(best, others[best], found[best], found, outdone)


def graded(job: TaskJob, compared: Compared, measured: Measured, split: Split, *, is_stable: bool) -> str:
    """Grade a model by the published rule, from what was measured of it."""
    return grade(
        compared.skill,
        calibrated=job.is_calibrated(measured.metrics, strictly=False),
        strictly=job.is_calibrated(measured.metrics, strictly=True),
        rows=len(split.rows),
        rare=job.evidence(split),
        stable=is_stable,
        outdone=compared.outdone,
    )


def simpler_of(name: str) -> str:
    """The simpler family that stands beside one in every run and is not a baseline; empty where there is none."""
    other = family(name).simpler
    return other if other and not family(other).is_baseline else ""


def within_noise(validated: Measured | None, simpler: Measured | None) -> Skill | None:
    """What a model gains over a simpler one on validation rows, where that may be noise; None where it is more."""
    if validated is None or simpler is None:
        return None
    gain = skill(validated.losses, simpler.losses, people=validated.people)
    return gain if gain.low <= 0 else None


def said_of_choice(name: str, simpler: str, gain: Skill) -> str:
    """Why the simpler model is taken, in words."""
    return (
        f"the simpler {simpler} is used: what {name} gains over it on validation customers may be noise (skill "
        f"{gain.value:.3f}, 90 % interval {gain.low:.3f} to {gain.high:.3f})"
    )
