"""Error responses: always JSON with what was found, what was expected and what to do; never the text of a document."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match

from quarry.indexer.errors import SearchError, UnknownFilter
from quarry.indexer.messages import Message
from quarry.retriever.rerankers.depth import DepthError

UNKNOWN_FIELD = "unknown_field"  # the type of the error of a field that a request does not have
_EXPECTED = "a request that this index can answer"
_DO = "Correct the request; /docs describes it"
_SHOWN = 5  # invalid fields that are named


class ErrorDetail(BaseModel):
    """One problem."""

    code: str
    reason: str = Field(description="The kind of message, finer than `code`: such as search.empty_query.")
    message: str
    found: str
    expected: str
    do: str


class ErrorBody(BaseModel):
    """The body of every answer with a status of 400 and above."""

    error: ErrorDetail
    detail: str = Field(description="The message again, where clients of Jina and Voyage look for it.")


class Problem(HTTPException):
    """An error that ends a request.

    Its body has the parts of a message. `code` is the message's own, without the room, or the one given for all errors of a
    kind, such as `invalid_request`; `reason` always tells the message.
    """

    def __init__(
        self, status: int, message: Message, *, code: str = "", retry_after_s: int | None = None, allow: str = ""
    ) -> None:
        """Make the error.

        Args:
            status: The HTTP status.
            message: What was found, what was expected, what to do.
            code: What programs tell it by; empty for the message's code without its room.
            retry_after_s: The header Retry-After.
            allow: The header Allow.
        """
        headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else {}
        headers |= {"Allow": allow} if allow else {}
        headers |= {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        code = code or message.code.partition(".")[2] or message.code
        super().__init__(status, code, headers=headers)
        self.body = ErrorBody(
            error=ErrorDetail(
                code=code,
                reason=message.code,
                message=str(message),
                found=message.part("found"),
                expected=message.part("expected") or _EXPECTED,
                do=message.part("do") or _DO,
            ),
            detail=str(message),
        )


def problem_of(err: SearchError) -> Problem:
    """Return the answer to an error of the library.

    422 for a request that cannot be answered by any index, 409 for one that this index cannot answer as it is, else 503.
    """
    if isinstance(err, UnknownFilter):
        return Problem(409, err.message, code="unknown_filter")
    if isinstance(err, DepthError):
        return Problem(409, err.message, code="depth")
    if isinstance(err, ValueError):
        return Problem(422, err.message, code="invalid_request")
    return Problem(503, err.message, code="unavailable")


def response(problem: Problem) -> JSONResponse:
    """Return the answer for a problem."""
    return JSONResponse(problem.body.model_dump(), problem.status_code, dict(problem.headers or {}))


async def answer_problem(request: Request, err: Exception) -> JSONResponse:
    """Answer a `Problem`, or what the framework itself refuses."""
    if isinstance(err, Problem):
        return response(err)
    status = err.status_code if isinstance(err, HTTPException) else 500
    if status == 404:
        message = Message.of(
            "serve.no_such_path",
            "no such path",
            expected="one of those in /openapi.json",
            do="Correct the request; /docs describes it",
        )
    elif status == 405:
        return response(wrong_method(request))
    else:
        message = Message.of(
            "serve.bad_request",
            "the body could not be read",
            expected="valid JSON in UTF-8",
            do="Correct the request; /docs describes it",
        )
    return response(Problem(status, message))


def wrong_method(request: Request) -> Problem:
    """Return the answer to a method that a path does not have; Allow lists those of all routes of the path."""
    found: set[str] = set()
    for route in request.app.state.known_routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    allow = ", ".join(sorted(found))
    message = Message.of(
        "serve.wrong_method",
        "this path has no such method",
        expected="{allow}",
        do="Correct the request; /docs describes it",
        allow=allow,
    )
    return Problem(405, message, allow=allow)


async def answer_invalid(_request: Request, err: Exception) -> JSONResponse:
    """Answer a request whose fields are wrong: their names and the rules, never their values."""
    errors = err.errors() if isinstance(err, RequestValidationError) else []
    return response(_invalid(errors))


def _unknown_fields(errors: Sequence[Mapping[str, Any]]) -> Problem:
    fields = list(dict.fromkeys(str(name) for error in errors for name in error["ctx"]["unknown"]))
    known = list(dict.fromkeys(str(name) for error in errors for name in error["ctx"]["known"]))
    message = Message.of(
        "serve.unknown_field",
        "unknown field {fields}",
        expected="some of {known}",
        do="Correct or remove it; /docs describes the fields",
        fields=_short(", ".join(fields[:_SHOWN]), 500),
        known=known,
    )
    return Problem(422, message, code="invalid_request")


def _invalid(errors: Sequence[Mapping[str, Any]]) -> Problem:
    if errors and all(error["type"] == UNKNOWN_FIELD for error in errors):
        return _unknown_fields(errors)
    named = [(".".join(str(part) for part in error["loc"]), str(error["msg"])) for error in errors]
    more = len(named) - _SHOWN
    fields = [name for name, _ in named[:_SHOWN]] + ([f"+{more}"] if more > 0 else [])
    rules = "; ".join(f"{name}: {rule}" for name, rule in named[:_SHOWN])
    message = Message.of(
        "serve.invalid_request",
        "invalid: {fields}",
        expected="{rules}",
        do="Correct the request; /docs describes it",
        fields=_short(", ".join(fields), 500),
        rules=_short(rules, 1000),
    )
    return Problem(422, message)


def _short(text: str, limit: int) -> str:
    """Cut what a client sent, and replace what UTF-8 cannot hold."""
    return text[:limit].encode("utf-8", "replace").decode()
