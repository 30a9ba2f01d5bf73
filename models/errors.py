"""What can go wrong when a model is fitted, kept or asked, one class per failure."""

from collections.abc import Iterable, Sequence

from features import __version__
from features.errors import PatronError, listed


class WrongColumns(PatronError):
    """The rows to score do not have exactly the model's columns in the model's order."""

    def __init__(self, expected: Sequence[str], found: Sequence[str]) -> None:
        missing = [name for name in expected if name not in found]
        extra = [name for name in found if name not in expected]
        if missing:
            problem = f"missing {listed(missing)}"
        elif extra:
            problem = f"not known to the model {listed(extra)}"
        elif twice := sorted({name for name in found if found.count(name) > 1}):
            problem = f"more than once {listed(twice)}"
        else:
            at = next(i for i, (want, got) in enumerate(zip(expected, found, strict=True)) if want != got)
            problem = f"column {at} is {found[at]!r} where the model has {expected[at]!r}"
        super().__init__(
            f"the columns are not the model's: {problem}. Allowed: {listed(expected, 60)}, in this order. Build them "
            "with the model's feature set."
        )


class WrongValues(PatronError):
    """A column holds something that its feature cannot be."""

    def __init__(self, column: str, rows: int, example: object, allowed: str) -> None:
        super().__init__(
            f"column {column!r} holds {rows} value(s) that its feature cannot have, e.g. {example!r}. "
            f"Allowed: {allowed}. Build the features from a valid profile."
        )


class OneClassOnly(PatronError):
    """A classifier was asked to learn from customers who all did the same."""

    def __init__(self, label: str, rows: int, share: float) -> None:
        super().__init__(
            f"nothing to learn: {share:.0%} of {rows:,} training rows have {label!r}. Allowed: rows of both kinds. "
            "Choose another horizon, cutoff or label."
        )


class TooFewRows(PatronError):
    """There are too few rows to fit anything."""

    def __init__(self, what: str, rows: int, needed: int, remedy: str) -> None:
        super().__init__(f"too few {what}: found {rows:,}, needed at least {needed:,}. {remedy}")


class UnknownParameter(PatronError):
    """A model parameter was set that the family does not have."""

    def __init__(self, family: str, name: str, allowed: Iterable[str]) -> None:
        super().__init__(
            f"family {family!r} has no parameter {name!r}. Allowed: {listed(sorted(allowed), 20) or 'none'}. Correct "
            "the name, or name the family that has it with --family."
        )


class ParameterOutOfRange(PatronError):
    """A parameter or setting has a value that makes no sense."""

    def __init__(self, name: str, found: object, allowed: str) -> None:
        super().__init__(f"{name} is {found!r}. Allowed: {allowed}. Set it to such a value.")


class ModelDamaged(PatronError):
    """A kept model is not, byte for byte, what was written."""

    def __init__(self, folder: str, problem: str) -> None:
        super().__init__(
            f"the model in {folder!r} is damaged: {problem}. Allowed: exactly the files of its manifest with their "
            "SHA-256. Fetch it again from the registry, or train it again."
        )


class ModelIncompatible(PatronError):
    """A kept model was made for other feature definitions than those installed."""

    def __init__(self, model: str, expected: str, found: str) -> None:
        super().__init__(
            f"model {model!r} was fitted on features with fingerprint {expected!r}, the installed catalogue gives "
            f"{found!r}. Install the version of Patron it was trained with, or train it again."
        )


class ModelUnreadable(ModelIncompatible):
    """A kept model is whole, and was written by a version of Patron that writes other things."""

    def __init__(self, folder: str, error: Exception) -> None:
        found = " ".join(str(error).split("[type=")[0].split())[:200]
        PatronError.__init__(
            self,
            f"the model in {folder!r} was kept by another version of Patron: found {type(error).__name__}: {found}. "
            f"Allowed: a model kept as Patron {__version__} keeps it. Install the version of Patron it was trained "
            "with, or train it again.",
        )
