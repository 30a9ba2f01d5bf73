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
            f"{host}:{port} is in use. Allowed: a free port. Choose another with --port, or stop what listens there."
        )


class ServiceRefused(PatronError):
    """A running service answered a request with an error."""

    def __init__(self, route: str, status: int, answer: str) -> None:
        said = " ".join(answer.split())[:500]
        super().__init__(f"{route} answered with HTTP {status}: {said}. Allowed: 200. Look into serve.log.")
