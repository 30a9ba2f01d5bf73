"""What keeps a model from being trained, tracked or promoted, one class per failure."""

from collections.abc import Iterable, Sequence
from shlex import quote

from features.errors import PatronError, listed


class ConfigInvalid(PatronError):
    """A training setting is unknown or has a value that makes no sense."""

    def __init__(self, name: str, found: object, allowed: str, place: str = "--set or the config file") -> None:
        super().__init__(f"setting {name!r} is {found!r}. Allowed: {allowed}. Correct it in {place}.")


class CategoryMarginUnknown(PatronError):
    """Margins are given by category, but not for the categories that orders have."""

    def __init__(self, problem: str, categories: Iterable[str], found: Iterable[str], remedy: str) -> None:
        super().__init__(
            f"setting 'margin_by_category' {problem} {listed(sorted(categories), 10)}. Allowed: the categories of the "
            f"orders: {listed(sorted(found), 20) or 'none, orders have no category'}. {remedy}"
        )


class CutoffOutOfRange(PatronError):
    """The data do not reach far enough before or after the cutoff."""

    def __init__(self, problem: str, found: str, allowed: str, remedy: str) -> None:
        super().__init__(f"{problem}: {found}. Allowed: {allowed}. {remedy}")


class AnswersEndEarly(PatronError):
    """The table that the label is told from ends before the others do."""

    def __init__(self, table: str, until: str, silent: int, longest: int, latest: str) -> None:
        super().__init__(
            f"the label window lies outside of what is known: {table!r} has nothing from {until} on, {silent:,} days "
            f"before the profile ends, and was never silent for more than {longest:,} days before. What is missing "
            f"would be learned as what customers did not do. Allowed: {table!r} as far as the other tables. Add what "
            "is missing, leave out what other tables know later, or evaluate only: --no-refit with a --cutoff up to "
            f"{latest}"
        )


class TooRareToMeasure(PatronError):
    """Nearly everyone evaluated on did the same, so that no figure would mean anything."""

    def __init__(self, split: str, label: str, found: int, customers: int, needed: int) -> None:
        super().__init__(
            f"nothing could be measured: {found:,} of {customers:,} customers on the {split} have {label!r}. Allowed: "
            f"at least {needed} with it and {needed} without. Choose another horizon, cutoff or label, and see whether "
            "the data really go on until the window's end: patron check"
        )


class EventUnknown(PatronError):
    """A profile knows nothing of the event that shall be predicted."""

    def __init__(self, text: str, found: str, allowed: str) -> None:
        super().__init__(f"event {text!r} cannot be predicted: {found}. Allowed: {allowed}. Correct --event.")


class NothingToTrain(PatronError):
    """No customer is eligible."""

    def __init__(self, what: str, found: str, remedy: str) -> None:
        super().__init__(f"{what}: {found}. Allowed: at least one eligible customer. {remedy}")


class OutcomeTooRare(PatronError):
    """Nearly everyone did the same."""

    def __init__(self, label: str, found: int, customers: int, needed: int) -> None:
        super().__init__(
            f"too little to learn from: {found:,} of {customers:,} customers have {label!r}. Allowed: at least "
            f"{needed} customers with it and {needed} without. Choose another horizon, cutoff or label, or add more "
            "customers."
        )


class NoRhythm(PatronError):
    """Too few customers ordered twice to tell how long customers wait between orders."""

    def __init__(self, found: int, needed: int) -> None:
        super().__init__(
            f"no window can be suggested: {found:,} customers ordered on two days or more. Allowed: at least {needed}. "
            "Give a longer history, or choose --horizon-days yourself."
        )


class NoTerms(PatronError):
    """Too few customers have terms that ended, or renewed one, to tell when a subscription is over for good."""

    def __init__(self, what: str, found: int, needed: int) -> None:
        super().__init__(
            f"no window can be suggested for subscriptions: {found:,} customers have {what}. Allowed: at least "
            f"{needed}. Give a longer history, or choose --horizon-days and --set grace_days yourself."
        )


class LabelUnusable(PatronError):
    """A label known from elsewhere does not say yes or no."""

    def __init__(self, label: str, found: str, allowed: str) -> None:
        super().__init__(f"label {label!r} cannot be learned: {found}. Allowed: {allowed}. Correct it, or --label.")


class ColumnUnusable(PatronError):
    """A column of a flat table can teach nothing."""

    def __init__(self, column: str, found: str, allowed: str) -> None:
        super().__init__(
            f"column {column!r} cannot be learned from: {found}. Allowed: {allowed}. Correct it, or leave it out: "
            f"--set {quote('leave_out=' + column)}"
        )


class LeakageSuspected(PatronError):
    """Columns would give the outcome away; nothing is trained on them unless they are allowed by name."""

    def __init__(self, columns: Sequence[str], reasons: Iterable[str]) -> None:
        self.columns = tuple(columns)
        count = f"{len(columns)} column{'s' if len(columns) > 1 else ''}"
        allowing = quote("leakage_allowed=" + ",".join(columns))
        super().__init__(
            f"training is refused, {count} may give the outcome away: {'; '.join(reasons)}. Remove the column, give "
            f"its table an ingested_at, or allow it: --set {allowing} or --set leakage=allow"
        )


class NoSuchVersion(PatronError):
    """A model version that is not in the registry was asked for."""

    def __init__(self, task: str, wanted: str, found: Iterable[str]) -> None:
        super().__init__(
            f"model {task!r} has no {wanted}. Found: {listed(found) or 'no version at all'}. Run: patron train {task} "
            "PROFILE"
        )


class NotPromoted(PatronError):
    """A version did not pass the gates; the champion stays."""

    def __init__(self, task: str, version: str, failed: Iterable[str]) -> None:
        super().__init__(
            f"version {version} of {task!r} is not promoted, the champion stays: {'; '.join(failed)}. Allowed: every "
            "gate passed. Train on more customers or a longer history, or keep the champion."
        )


class TrackingUnavailable(PatronError):
    """The MLflow store cannot be reached or used."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(
            f"the MLflow store {uri!r} cannot be used ({reason}). Allowed: a database or server URI such as "
            "sqlite:///.patron/mlflow.db. Check MLFLOW_TRACKING_URI."
        )


class NothingToReport(PatronError):
    """There is no champion to report on."""

    def __init__(self, profile: str) -> None:
        super().__init__(
            f"nothing to report on {profile!r}: no model has been promoted. Allowed: at least one champion. Run: "
            f"patron train TASK {profile}, then patron promote TASK"
        )


class ScoresNotFound(PatronError):
    """The folder given for a report does not hold batch scores."""

    def __init__(self, folder: str, found: str) -> None:
        super().__init__(
            f"no scores to report in {folder!r}: scores.parquet is {found}. Allowed: a folder written by patron "
            f"score. Run: patron score PROFILE --at DATE -o {folder}"
        )


class NoExperiment(PatronError):
    """Nothing was held back by lot, so that nobody can know what contacts change."""

    def __init__(self, source: str, found: str) -> None:
        super().__init__(
            f"what contacts change cannot be known from {source!r}: {found}. Allowed: a campaign in which is_control "
            "is true for some customers, drawn by lot, and false for others. Hold a control group back: patron plan "
            "draws one."
        )
