"""What a request passes before the service sees it: a size limit, and validation with errors a person can act on."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.responses import JSONResponse

from features.refusals import allowed_by
from models.families import TASKS
from serving.errors import MalformedRequest, ServingError, TooLarge
from serving.explain_schemas import ExplainRequest
from serving.schemas import ScoreRequest

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 16_000_000
BODIES: dict[str, type[ScoreRequest]] = {
    "/v1/score": ScoreRequest,
    **{f"/v1/{task}/score": ScoreRequest for task in TASKS},
    "/v1/explain": ExplainRequest,
}
"""What each route that takes customers takes."""
LONGEST_VALUE = 60


class Gate:
    """ASGI middleware: 413 for a body beyond the limit, 400 with one readable line for a malformed one.

    Parameters
    ----------
    app : ASGI application
        What is behind it.
    most_bytes : int
        The limit, declared or streamed.
    """

    def __init__(self, app: "ASGIApp", most_bytes: int = MOST_BYTES) -> None:
        self.app = app
        self.most_bytes = most_bytes

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            messages = await self._read(scope, receive)
            if scope["path"] in BODIES and scope["method"] == "POST":
                validate(b"".join(message.get("body", b"") for message in messages), BODIES[scope["path"]])
        except ServingError as problem:
            await JSONResponse({"error": str(problem)}, status_code=problem.status)(scope, receive, send)
            return

        async def replay() -> "Message":
            return messages.pop(0) if messages else await receive()

        await self.app(scope, replay, send)

    async def _read(self, scope: "Scope", receive: "Receive") -> "list[Message]":
        """Read the body up to the limit.

        Raises
        ------
        TooLarge
            If it is longer.
        """
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        size = 0
        if declared.isdigit() and int(declared) > self.most_bytes:
            raise TooLarge(int(declared), self.most_bytes)
        messages: list[Message] = []
        more = True
        while more:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self.most_bytes:
                raise TooLarge(size, self.most_bytes)
            more = message["type"] == "http.request" and message.get("more_body", False)
        return messages


def validate(body: bytes, form: type[ScoreRequest] = ScoreRequest) -> ScoreRequest:
    """Read a request body as what its route takes.

    Raises
    ------
    MalformedRequest
        Naming the first thing wrong: where, what was found, what is allowed.
    """
    try:
        return form.model_validate_json(body)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        first = errors[0]
        raise MalformedRequest(_place(first["loc"]), _found(first), allowed_by(first), len(errors) - 1) from None


def _place(path: Sequence[int | str]) -> str:
    """``profiles[0].orders[2].value`` from its parts; the body itself when there are none."""
    words = ""
    for part in path:
        name = part if isinstance(part, int) or part.isidentifier() else _shortened(json.dumps(part))
        words += f"[{part}]" if isinstance(part, int) else f".{name}" if words else str(name)
    return words or "the body"


def _found(error: Any) -> str:
    """The offending value, shortened; whole objects and bodies by their kind only."""
    value = error["input"]
    if error["type"] == "missing":
        return "nothing"
    if error["type"] == "json_invalid":
        return "not JSON"
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, list(value)[:5])) or 'no key'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return _shortened(json.dumps(value, default=str))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
