"""What a `plan.yaml` may say: actions, budget, rules and the control group."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from features.refusals import allowed_by
from models.decision.declared import DeclaredAmount, DeclaredRate, Money, Strict
from models.decision.offer import Offer, Rate
from serving.errors import ExpressionInvalid, PlanInvalid
from serving.expression import Expression


def _readable(text: str) -> str:
    """Refuse, on reading the file, what cannot be an expression."""
    try:
        if text:
            Expression(text)
    except ExpressionInvalid as problem:
        raise ValueError(f"{problem.found} in {text!r}; allowed: {problem.allowed}") from None
    return text


Formula = Annotated[str, AfterValidator(_readable)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]


class Action(Strict):
    """Something that can be done to keep a customer.

    Parameters
    ----------
    name, channel : str
        What it is, and how it reaches the customer.
    contact_cost, offer_cost : DeclaredAmount
        Of every contact, and of every offer that is taken.
    success_rate : DeclaredRate, optional
        Share of the customers who would leave that it keeps.
    uplift : bool or str
        Whether what it changes is taken from a campaign instead, as `patron uplift` learned it; or the folder in which
        it wrote that down, from the plan's file on.
    eligible : str
        Condition over score columns and features; empty: everyone.
    """

    name: Name
    channel: Name
    contact_cost: Money
    offer_cost: Money = DeclaredAmount(mean=0.0)
    success_rate: DeclaredRate | None = None
    uplift: bool | Name = False
    eligible: Formula = ""

    @property
    def offer(self) -> Offer:
        """As decisions take it."""
        return Offer(self.contact_cost.read(), self.offer_cost.read())

    @property
    def success(self) -> Rate | None:
        """As decisions take it; None where it is learned."""
        return self.success_rate.read() if self.success_rate else None

    @model_validator(mode="after")
    def _one_effect(self) -> "Action":
        if (self.success_rate is None) != bool(self.uplift):
            said = "both" if self.uplift else "neither"
            raise ValueError(f"{said} of success_rate and uplift; allowed: one of them")
        return self


class Channel(Strict):
    """How many contacts a channel bears."""

    maximum_contacts: int = Field(ge=0)


class Rules(Strict):
    """Who is left alone.

    Parameters
    ----------
    quiet_days : int, optional
        Days since the last contact before which nobody is contacted again.
    contact_kinds : tuple of str
        Kinds of `events` that are contacts, beside the `campaigns` received.
    exclude_customers : tuple of str
        By id.
    exclude : str
        By condition, such as ``segment == 'staff'``.
    """

    quiet_days: int | None = Field(default=None, ge=1, le=3650)
    contact_kinds: tuple[str, ...] = ("email_sent",)
    exclude_customers: tuple[str, ...] = ()
    exclude: Formula = ""


class Control(Strict):
    """Who on the list is held back by lot, to see afterwards what the contacts changed.

    Parameters
    ----------
    effect : float, optional
        By how much the churn rate is hoped to fall; by default as much as the success rates say.
    power, significance : float
        Of the test of two proportions that is to show it.
    maximum_share : float
        Of the list; 0 for no control group.
    """

    effect: float | None = Field(default=None, gt=0, lt=1)
    power: float = Field(default=0.8, gt=0.05, lt=1)
    significance: float = Field(default=0.05, gt=0, lt=0.5)
    maximum_share: float = Field(default=0.2, ge=0, le=0.5)


class PlanConfig(Strict):
    """A plan.

    Parameters
    ----------
    name : str
        Of the plan; another one draws another control group.
    seed : int
        As the name.
    budget : float, optional
        What contacts and offers may cost, even if everyone takes the offer.
    value : str
        What a customer who is kept is worth: a score column or a formula over them.
    value_error : float
        Standard deviation of the level of all values, as a share of it.
    actions : tuple of Action
        At most one of them a customer.
    channels : mapping of str to Channel
        Those with a limit.
    rules, control
        See `Rules` and `Control`.
    """

    name: Name
    seed: int = Field(default=0, ge=0)
    budget: float | None = Field(default=None, ge=0, lt=1e15)
    value: Formula = Field(default="clv", min_length=1)
    value_error: float = Field(default=0.0, ge=0, le=1)
    actions: tuple[Action, ...] = Field(min_length=1, max_length=50)
    channels: dict[str, Channel] = Field(default_factory=dict)
    rules: Rules = Rules()
    control: Control = Control()

    @model_validator(mode="after")
    def _names_agree(self) -> "PlanConfig":
        names = [action.name for action in self.actions]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"actions: {twice[0]!r} stands twice; allowed: each name once")
        used = {action.channel for action in self.actions}
        if unknown := sorted(set(self.channels) - used):
            raise ValueError(f"channels: {unknown[0]!r} of no action; allowed: {', '.join(sorted(used))}")
        return self


def read_plan(file: Path) -> PlanConfig:
    """Read a `plan.yaml`.

    Raises
    ------
    PlanInvalid
        If it cannot be read, or says anything that a plan does not have; one line that names the place.
    """
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanInvalid(str(file), "", error.strerror or "unreadable", "a file that can be read") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise PlanInvalid(str(file), "", str(error).splitlines()[0], "a YAML file") from None
    if not isinstance(content, dict):
        raise PlanInvalid(str(file), "", type(content).__name__, "a mapping with name and actions")
    try:
        return PlanConfig.model_validate(content)
    except ValidationError as invalid:
        raise _first_problem(str(file), invalid) from None


def _first_problem(file: str, invalid: ValidationError) -> PlanInvalid:
    first = invalid.errors()[0]
    place = ".".join(map(str, first["loc"]))
    said = allowed_by(first)
    found, _, allowed = said.partition("; allowed: ")
    if first["type"] == "extra_forbidden":
        model: Any = PlanConfig if len(first["loc"]) == 1 else None
        allowed = f"one of {', '.join(model.model_fields)}" if model else "only what a plan has; see examples/plan.yaml"
        found = "an unknown name"
    elif first["type"] == "missing":
        found, allowed = "nothing", said
    elif not allowed:
        found, allowed = repr(first["input"])[:80], said
    return PlanInvalid(file, place, found, allowed)
