"""What keeps scores from being served, one class per failure, each with the HTTP status it answers with."""

from collections.abc import Iterable
from http import HTTPStatus

from features.errors import PatronError, listed


class ServingError(PatronError):
    """Base of what the service answers with a status of its own."""

    status = HTTPStatus.BAD_REQUEST


class NoChampion(ServingError):
    """There is nothing to score with."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, wanted: str, found: Iterable[str]) -> None:
        super().__init__(
            f"no champion for {wanted}: found {listed(sorted(found)) or 'none'}. Allowed: a promoted version of each "
            "task asked for. Run: patron train TASK PROFILE, then patron promote TASK"
        )


class NotReady(ServingError):
    """The champions are still being loaded, or could not be."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the champions are not loaded: {reason}. Allowed: requests once /readyz answers 200. Try again."
        )


class UnknownCustomers(ServingError):
    """Customer ids that the online store does not hold."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, unknown: Iterable[str], scored_at: str) -> None:
        super().__init__(
            f"unknown customer_ids: {listed(unknown)}. Allowed: the customers of the last batch run ({scored_at}). "
            "Send their facts as 'profiles', or run: patron score PROFILE --at DATE"
        )


class StoreMissing(ServingError):
    """No batch run has filled the online store."""

    status = HTTPStatus.CONFLICT

    def __init__(self, path: str) -> None:
        super().__init__(
            f"there is no online store at {path!r}: customer_ids cannot be looked up. Allowed: 'profiles' with facts, "
            "or customer_ids after a batch run. Run: patron score PROFILE --at DATE"
        )


class StoreOutdated(ServingError):
    """The online store was filled for other features than the champions need."""

    status = HTTPStatus.CONFLICT

    def __init__(self, lacking: Iterable[str]) -> None:
        super().__init__(
            f"the online store was filled for other models: it lacks {listed(lacking)} as the champions define them. "
            "Allowed: a store filled since the last promotion. Run: patron score PROFILE --at DATE"
        )


class StoreUnreadable(ServingError):
    """The online store is there and cannot be read."""

    status = HTTPStatus.CONFLICT

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"the online store at {path!r} cannot be read: found {reason}. Allowed: a readable file as patron score "
            "writes it. Give the service the right to read it, or run: patron score PROFILE --at DATE"
        )


class CurrencyDiffers(ServingError):
    """Amounts are in another currency than a model learned from."""

    def __init__(self, model: str, learned: str, found: str) -> None:
        super().__init__(
            f"amounts are in {found!r}, and the model of {model} learned from amounts in {learned!r}. Allowed: amounts "
            f"in {learned!r}. Convert them (currency: in a profile.yaml), or train and promote a model on amounts in "
            f"{found!r}."
        )


class MalformedRequest(ServingError):
    """A request body that is not what the schema says."""

    def __init__(self, place: str, found: str, rule: str, more: int) -> None:
        rule = rule.removeprefix("Value error, ").rstrip(".")
        tail = f" ({more} more like it)" if more else ""
        super().__init__(f"{place}: found {found}; {rule}.{tail} The fields and their rules are in /docs.json.")


class TooLarge(ServingError):
    """A request body that is larger than the service takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, found: int, limit: int) -> None:
        super().__init__(
            f"the request body has {found:,} bytes or more. Allowed: at most {limit:,}. Send fewer customers a "
            "request, or score them in batch: patron score PROFILE --at DATE"
        )


class AddressInUse(PatronError):
    """Somebody listens on the port already."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} of {host!r} is in use. Allowed: a free port. Choose another with --port, or stop what "
            "listens there."
        )


class AddressUnusable(PatronError):
    """Nobody can listen on the address, whoever does already."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"cannot listen on port {port} of {host!r}: found {reason.rstrip('.')}. Allowed: an address of this "
            "machine, such as 127.0.0.1 or ::1, and a port from 1024 to 65535. Choose others with --host and --port."
        )


class ServiceRefused(PatronError):
    """A running service answered a request with an error."""

    def __init__(self, route: str, status: int, answer: str) -> None:
        said = " ".join(answer.split())[:500]
        super().__init__(f"{route} answered with HTTP {status}: {said}. Allowed: 200. Look into serve.log.")


class ExpressionInvalid(PatronError):
    """A condition or an amount over columns cannot be read, or not be applied to these columns."""

    def __init__(self, text: str, found: str, allowed: str) -> None:
        self.found, self.allowed = found, allowed
        super().__init__(f"expression {text!r}: found {found}. Allowed: {allowed}. Correct it in the plan.")


class PlanInvalid(PatronError):
    """A plan says something that cannot be done."""

    def __init__(self, file: str, place: str, found: str, allowed: str) -> None:
        where = f"{file}, {place}" if place else file
        super().__init__(f"{where}: found {found}. Allowed: {allowed.rstrip('.')}. Correct the plan.")


class ChampionsDisagree(PatronError):
    """Two champions take different columns of one name, of which a feature table has only one."""

    def __init__(self, column: str, first: str, second: str) -> None:
        super().__init__(
            f"the champions of {first} and {second} take different columns {column!r}: they learned from profiles that "
            "hold different things there. Allowed: one kind of value. Train both on one profile, and promote them."
        )


class ScoresUnfit(PatronError):
    """The customers given for a plan lack what a plan is made of."""

    def __init__(self, source: str, lacking: Iterable[str], allowed: str) -> None:
        super().__init__(
            f"no plan can be made of {source!r}: it lacks {listed(lacking)}. Allowed: {allowed}. Train, promote and "
            "score what is lacking, or leave it out of the plan."
        )


class UpliftMissing(PatronError):
    """An action goes by uplift, and nothing was learned where it says."""

    def __init__(self, action: str, folder: str) -> None:
        super().__init__(
            f"action {action!r} goes by uplift, and there is no folder {folder!r}. Allowed: a folder written by patron "
            f"uplift. Run patron uplift PROFILE --campaign ID -o {folder}, or give the action a success_rate."
        )


class ContactsUnknown(PatronError):
    """A plan leaves recently contacted customers alone, and nothing says who they are."""

    def __init__(self, source: str, days: int) -> None:
        super().__init__(
            f"rules.quiet_days is {days}, and {source!r} does not say who was contacted. Allowed: a profile with "
            "campaigns or events. Name it with --profile, or leave quiet_days out of the plan."
        )
