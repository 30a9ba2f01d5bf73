"""What a training run may be told, and nothing else."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from features.eligibility import Eligible
from features.errors import InstantUnreadable
from features.instants import read_instant
from features.refusals import allowed_by
from training.errors import ConfigInvalid
from training.evaluation.offer import OfferTerms

MarginRate = Annotated[float, Field(gt=0, le=1)]
MAPPINGS = ("model", "margin_by_category", "offer")
"""Settings that hold further ones by name."""


class TrainConfig(BaseModel):
    """One training run's settings; logged whole with the run.

    Parameters
    ----------
    cutoff : datetime, optional
        Learn from what was known before, evaluate on what came after; by default the latest that leaves one horizon
        to evaluate on.
    horizon_days : int
        How far ahead to predict.
    gap_days : int
        Days between the prediction time and the label window, as long as acting on a score takes.
    prediction_times : int
        At how many instants before the cutoff training rows are made, at most.
    validation_share : float
        Share of customers never learned from before the cutoff.
    margin_rate : float
        Contribution as a share of order value; with `margin_by_category` that of orders of no category named there.
    annual_discount_rate : float
        For `clv`.
    annual_cost_to_serve : float
        What an active customer costs in a year besides the orders, in the profile's currency.
    observed_margin : bool
        Whether the margin rate is measured instead of set: `margin_value` of the orders before the cutoff over their
        value. Each customer is valued at the rate of the customer's own orders, shrunk to it: see `models.clv.margins`.
    margin_by_category : mapping of str to float
        Contribution as a share of order value by `orders.category`; what customers together ordered of each before the
        cutoff makes everyone's margin rate of them, what each customer ordered the customer's own, shrunk to it.
    random_state : int
        Seed of everything random.
    refit : bool
        Whether the registered version learns once more from everything known, after the evaluation.
    leakage : {"refuse", "allow"}
        What happens when columns may give the outcome away: see `training.rows.leakage`.
    leakage_allowed : tuple of str
        Columns that are used whatever speaks against them.
    leave_out : tuple of str
        Columns that are not learned from.
    target : {"non_contractual", "contractual"}
        What churn is: no order in the horizon, or a subscription that ends in it and is not renewed within the grace.
    grace_days : int
        Days after the end of a subscription within which a new one is a renewal.
    label : str
        Outcome known from elsewhere that churn is instead: the label's name in a flat table or a ``profile.yaml``.
    id_column : str
        What names the customer in a flat table.
    folds : int
        Parts of a table without dates, or of the customers of a holdout, each of which is predicted from the others.
    event : str
        What propensity is asked of: see `features.occurrences.read_occurrence`.
    eligible : {"ordered", "subscriber", "active", "subscribed", "known", "lapsed", "former"}, optional
        Whom it is asked of, see `features.eligibility`: propensity of everyone known, churn of everyone who ordered,
        unless told otherwise; churn may be asked of the active ones only.
    fairness_groups : tuple of str
        Columns of `customers` by whose groups a classifier is held to be fair: see `training.evaluation.fairness`.
    stability_cutoffs : int
        At how many earlier cutoffs a classifier is fitted and measured once more, where the history allows.
    search_minutes : float
        For how long better settings of the trees are searched: see `training.search`.
    offer : OfferTerms, optional
        On what terms customers would be contacted, for the profit that a churn model would bring: see
        `training.evaluation.offer`.
    model : mapping
        Settings of the family's model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cutoff: AwareDatetime | None = None
    horizon_days: int = Field(default=90, ge=1, le=3650)
    gap_days: int = Field(default=0, ge=0, le=365)
    prediction_times: int = Field(default=4, ge=1, le=24)
    validation_share: float = Field(default=0.2, gt=0, lt=0.9)
    margin_rate: float = Field(default=1.0, gt=0, le=1)
    annual_discount_rate: float = Field(default=0.1, ge=0, le=10)
    annual_cost_to_serve: float = Field(default=0.0, ge=0, lt=1e14)
    observed_margin: bool = False
    margin_by_category: dict[str, MarginRate] = Field(default_factory=dict)
    random_state: int = Field(default=0, ge=0)
    refit: bool = True
    leakage: Literal["refuse", "allow"] = "refuse"
    leakage_allowed: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    target: Literal["non_contractual", "contractual"] = "non_contractual"
    grace_days: int = Field(default=30, ge=0, le=365)
    label: str = ""
    id_column: str = "customer_id"
    folds: int = Field(default=5, ge=2, le=20)
    event: str = ""
    eligible: Eligible | None = None
    fairness_groups: tuple[str, ...] = ()
    stability_cutoffs: int = Field(default=2, ge=0, le=6)
    search_minutes: float = Field(default=0.0, ge=0, le=1440)
    offer: OfferTerms | None = None
    model: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _take_no_flag_for_a_number(cls, data: object) -> object:
        """True is 1 to Python: 100 % margin."""
        for name, value in data.items() if isinstance(data, dict) else ():
            known = cls.model_fields.get(name)
            if isinstance(value, bool) and known is not None and known.annotation in {int, float}:
                raise ConfigInvalid(name, value, "a number")
        return data

    @field_validator("model")
    @classmethod
    def _leave_terms_to_all(cls, model: dict[str, Any]) -> dict[str, Any]:
        """What every family is told alike is no setting of a model: the run would say another horizon than it has."""
        for name, value in model.items():
            if name in cls.model_fields:
                raise ConfigInvalid(f"model.{name}", value, f"{name} itself, which every family is told alike")
        return model

    @field_validator("cutoff", mode="before")
    @classmethod
    def _read_cutoff(cls, value: object) -> datetime | None:
        """Read the cutoff as every date that a person gives is read: YAML makes dates and naive times of some."""
        try:
            return None if value is None else read_instant(str(value))
        except InstantUnreadable:
            allowed = "a date such as 1997-10-01 (midnight UTC) or an ISO 8601 time with its offset"
            raise ConfigInvalid("cutoff", str(value), allowed) from None

    @field_validator("leakage_allowed", "leave_out", "fairness_groups", mode="before")
    @classmethod
    def _read_names(cls, value: object) -> object:
        """Take names with commas between them, as they are easiest to give in a shell."""
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    def flat(self) -> dict[str, Any]:
        """The settings under the dotted names of an MLflow run, without the cutoff."""
        return {
            "data.horizon_days": self.horizon_days,
            "data.gap_days": self.gap_days,
            "data.prediction_times": self.prediction_times,
            "data.validation_share": self.validation_share,
            "random_state": self.random_state,
            "leakage": self.leakage,
            "leakage_allowed": ", ".join(self.leakage_allowed),
            "leave_out": ", ".join(self.leave_out),
            "target": self.label or self.event or self.target,
            "eligible": self.eligible or "",
        }


def make_config(
    file: Path | None = None,
    assignments: Mapping[str, str] | None = None,
    *,
    cutoff: datetime | None = None,
    horizon_days: int | None = None,
    refit: bool | None = None,
    label: str | None = None,
    id_column: str | None = None,
    event: str | None = None,
    search_minutes: float | None = None,
) -> TrainConfig:
    """Gather a run's settings: the file first, then the assignments, then what was given by name.

    Parameters
    ----------
    file : Path, optional
        YAML with the fields of `TrainConfig`.
    assignments : mapping of str to str, optional
        Dotted names and YAML values, such as ``{"model.num_leaves": "15"}``.
    cutoff, horizon_days, refit, label, id_column, event, search_minutes
        Win over the others when given.

    Returns
    -------
    TrainConfig
        Validated.

    Raises
    ------
    ConfigInvalid
        If a name is unknown, a value out of range or the file unreadable.
    """
    values: dict[str, Any] = _read_file(file) if file else {}
    for name, text in (assignments or {}).items():
        owner, _, setting = name.partition(".")
        value = _read_value(name, text)
        if not setting:
            values[owner] = value
        elif owner in MAPPINGS:
            values[owner] = _mapping(owner, values.get(owner)) | {setting: value}
        else:
            raise ConfigInvalid(name, text, f"{', '.join(TrainConfig.model_fields)} or model.<setting of the family>")
    given: dict[str, Any] = {"cutoff": cutoff, "horizon_days": horizon_days, "refit": refit}
    given |= {"label": label, "id_column": id_column, "event": event, "search_minutes": search_minutes}
    values |= {name: value for name, value in given.items() if value is not None}
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        name = ".".join(map(str, first["loc"])) or "config"
        known = ", ".join(TrainConfig.model_fields)
        allowed = f"one of {known}" if first["type"] == "extra_forbidden" else allowed_by(first)
        raise ConfigInvalid(name, first["input"], allowed) from None


def read_assignments(texts: Iterable[str]) -> dict[str, str]:
    """Split ``name=value`` texts.

    Raises
    ------
    ConfigInvalid
        If one has no ``=`` or no name.

    Examples
    --------
    >>> read_assignments(["model.num_leaves=15"])
    {'model.num_leaves': '15'}
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigInvalid("--set", text, "name=value, such as model.num_leaves=15")
        found[name.strip()] = value.strip()
    return found


def _read_value(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigInvalid(name, text, "a YAML value") from None


def _read_file(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except FileNotFoundError:
        raise ConfigInvalid("config", str(file), "a file that exists") from None
    except OSError as error:
        raise ConfigInvalid("config", str(file), f"a file that can be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigInvalid("config", str(file), f"a YAML file ({str(error).splitlines()[0]})") from None
    return _mapping("config", content, str(file))


def _mapping(name: str, content: Any, found: str = "") -> dict[str, Any]:
    """A mapping as it is, nothing as an empty one."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigInvalid(name, found or content, "a YAML mapping of settings to values")
    return content
