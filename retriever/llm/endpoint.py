"""Asks an OpenAI-compatible chat endpoint, with timeout and retries. It is never called unless the user names one.

The key comes from an environment variable only, is sent to the configured host only (redirects are not followed), not in the
clear except to this machine, and appears in no message.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from ipaddress import ip_address
from json import dumps, loads
from typing import IO, Any, TypeAlias, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from quarry.indexer.errors import ModelError, SearchError, SettingsError
from quarry.indexer.messages import Message

ChatMessage: TypeAlias = Mapping[str, str]
T = TypeVar("T")
KEY_VARIABLE = "QUARRY_LLM_API_KEY"
NO_ANSWER = (URLError, TimeoutError, ConnectionError, HTTPException)  # what a broken connection raises
_MOST_BYTES = 1 << 20
_LONGEST_PAUSE_S = 30.0
_TRY_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask and how.

    Attributes:
        url: The base, such as `http://localhost:8000/v1`; `/chat/completions` is added.
        model: The model's name there.
        timeout_s: For one request; of a stream, for each of its pieces.
        retries: Further attempts after a transient failure (no answer, 429, 5xx).
        pause_s: Before the first further attempt; doubled each time. A `Retry-After` of up to 30 s is respected.
        temperature: Sampling temperature.
        max_tokens: Longest answer.
        key_variable: The environment variable that holds the key; it may be unset.

    Raises:
        SettingsError: If the URL is not plain http or https, or would send the key in the clear to another machine.
    """

    url: str
    model: str
    timeout_s: float = 60.0
    retries: int = 2
    pause_s: float = 1.0
    temperature: float = 0.8
    max_tokens: int = 400
    key_variable: str = KEY_VARIABLE

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise SettingsError(
                "llm.bad_url",
                "the endpoint's URL is not usable",
                expected="http(s)://HOST[:PORT]/v1 without user name, password or query",
                do="Put the key in the environment variable {variable}",
                variable=self.key_variable,
            )
        if parts.scheme == "http" and os.environ.get(self.key_variable) and not self.is_local:
            raise SettingsError(
                "llm.key_in_the_clear",
                "{variable} is set and the endpoint {host} is plain http",
                expected="https, or the key would be sent in the clear",
                do="Use https, or unset the variable",
                variable=self.key_variable,
                host=parts.hostname,
            )

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(
        self, _req: Request, _fp: IO[bytes], _code: int, _msg: str, _headers: HTTPMessage, _newurl: str
    ) -> None:
        """Return no request: the status comes back as an error."""


class Unanswered(SearchError):
    """The endpoint gave no answer after all tries, or its answer broke off."""


def ask(endpoint: Endpoint, prompt: str) -> str:
    """Return the text of the answer; empty when it is not a chat completion.

    Raises:
        ModelError: If the endpoint refuses the request (401, 403, 404, 400 and their like): retrying cannot help.
        Unanswered: If there was no answer after all tries.
    """
    return ask_messages(endpoint, [{"role": "user", "content": prompt}])


def ask_messages(endpoint: Endpoint, messages: Sequence[ChatMessage]) -> str:
    """Return the text of the answer to several messages, such as a system message and a user's. Raises as `ask` does."""
    return with_tries(endpoint, lambda: _text(_read(endpoint, messages)))


def with_tries(endpoint: Endpoint, attempt: Callable[[], T]) -> T:
    """Return what an attempt returns, retrying after transient failures.

    Args:
        endpoint: How often and with what pauses.
        attempt: One request; it raises what `opened` and reading raise.

    Raises:
        ModelError: If the endpoint refuses the request: retrying cannot help.
        Unanswered: If every attempt failed.
    """
    pause, reason = endpoint.pause_s, Message.plain("")
    for number in range(endpoint.retries + 1):
        if number:
            time.sleep(min(pause, _LONGEST_PAUSE_S))
            pause *= 2
        try:
            return attempt()
        except HTTPError as err:
            with err:
                if err.code not in _TRY_AGAIN:
                    raise ModelError(
                        "llm.refused",
                        "the endpoint {url} answered {status} {reason}",
                        expected="a chat completion",
                        do="Check URL, model {model} and the key in {variable}",
                        url=endpoint.url,
                        status=err.code,
                        reason=str(err.reason),
                        model=repr(endpoint.model),
                        variable=endpoint.key_variable,
                    ) from None
                reason = Message.plain(f"{err.code} {err.reason}")
                pause = max(pause, _seconds(err.headers.get("Retry-After")))
        except NO_ANSWER as err:
            reason = Message.plain(str(getattr(err, "reason", err)) or type(err).__name__)
    raise Unanswered("llm.no_answer", "no answer from {url}: {reason}", url=endpoint.url, reason=reason)


def opened(endpoint: Endpoint, messages: Sequence[ChatMessage], *, stream: bool = False) -> HTTPResponse:
    """Send one request and return the response, its body unread; the caller closes it.

    Raises:
        HTTPError: For any status but 2xx, redirects included: they are not followed, since the key would go with them.
    """
    body = {
        "model": endpoint.model,
        "messages": list(messages),
        "temperature": endpoint.temperature,
        "max_tokens": endpoint.max_tokens,
        **({"stream": True} if stream else {}),
    }
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream" if stream else "application/json"}
    if key := os.environ.get(endpoint.key_variable):
        headers["Authorization"] = f"Bearer {key}"
    url = endpoint.url.rstrip("/") + "/chat/completions"
    request = Request(url, dumps(body).encode(), headers, method="POST")  # noqa: S310 (the scheme was checked)
    opener = build_opener(_NoRedirect(), *([ProxyHandler({})] if endpoint.is_local else []))
    response: HTTPResponse = opener.open(request, timeout=endpoint.timeout_s)
    return response


def _read(endpoint: Endpoint, messages: Sequence[ChatMessage]) -> bytes:
    with opened(endpoint, messages) as response:
        return response.read(_MOST_BYTES)


def _text(content: bytes) -> str:
    try:
        found: Any = loads(content)
        text = found["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return ""
    if isinstance(found, Mapping) and isinstance(text, str):
        return text
    return ""


def _seconds(value: str | None) -> float:
    return float(value) if value and value.isdecimal() else 0.0
