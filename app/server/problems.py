"""Errors as answers: always JSON, always what was found, what was expected, and what to do. Never a document's text."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request

_DO = "Correct the request; /openapi.json describes it"
_SHOWN = 5  # wrong fields that are named


class ErrorDetail(BaseModel):
    """One problem."""

    code: str
    message: str
    found: str
    expected: str
    do: str


class ErrorBody(BaseModel):
    """The body of every answer with a status of 400 and above."""

    error: ErrorDetail


class Problem(HTTPException):
    """An error that ends a request."""

    def __init__(
        self, status: int, code: str, found: str, expected: str, do: str, *, retry_after_s: int | None = None
    ) -> None:
        headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else None
        super().__init__(status, code, headers=headers)
        self.body = ErrorBody(
            error=ErrorDetail(
                code=code, message=f"{found}; expected {expected}. {do}", found=found, expected=expected, do=do
            )
        )


def from_message(status: int, code: str, message: str) -> Problem:
    """Turn the message of one of our own errors, `found; expected ... . Do`, into a problem."""
    found, _, rest = message.partition("; expected ")
    expected, _, do = rest.partition(". ")
    return Problem(status, code, found, expected or "a request that this index can answer", do or _DO)


def response(problem: Problem) -> JSONResponse:
    """Return the answer for a problem."""
    headers = dict(problem.headers or {})
    if problem.status_code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem.body.model_dump(), problem.status_code, headers)


async def answer_problem(_request: Request, err: Exception) -> JSONResponse:
    """Answer a `Problem`, or what the framework itself refuses."""
    if isinstance(err, Problem):
        return response(err)
    status = err.status_code if isinstance(err, HTTPException) else 500
    names = {
        404: ("no_such_path", "no such path", "one of those in /openapi.json"),
        405: ("wrong_method", "this path has no such method", "one of the methods in /openapi.json"),
    }
    code, found, expected = names.get(status, ("bad_request", "the body could not be read", "valid JSON in UTF-8"))
    answer = response(Problem(status, code, found, expected, _DO))
    answer.headers.update(dict(getattr(err, "headers", None) or {}))  # Allow, for a wrong method
    return answer


async def answer_invalid(_request: Request, err: Exception) -> JSONResponse:
    """Answer a request whose fields are wrong: their names and the rules, never their values."""
    errors = err.errors() if isinstance(err, RequestValidationError) else []
    return response(_invalid(errors))


def _invalid(errors: Sequence[Mapping[str, Any]]) -> Problem:
    named = [(".".join(str(part) for part in error["loc"]), str(error["msg"])) for error in errors]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    fields = ", ".join(name for name, _ in named[:_SHOWN])[:500].encode("utf-8", "replace").decode()
    rules = "; ".join(f"{name}: {rule}" for name, rule in named[:_SHOWN])[:1000].encode("utf-8", "replace").decode()
    return Problem(422, "invalid_request", f"wrong: {fields}{more}", rules, _DO)
