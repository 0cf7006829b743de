"""The command's side: find a server on the index, have it prove what it is, and ask it."""

import json
import secrets
import urllib.request
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from typing import Any
from urllib.error import URLError

from quarry.app.server.local.carried import carried, received
from quarry.app.server.local.state import RunningServer, announced
from quarry.indexer.storage.generations import Generations
from quarry.retriever.results import Answer
from quarry.retriever.searcher import SearchOptions

_PROBE_S, _ANSWER_S = 2.0, 120.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search as the command was told to do it."""

    query: str
    k: int
    options: SearchOptions
    rerank: str
    device: str


@dataclass(frozen=True, slots=True)
class ServedAnswer:
    """An answer, and the server that gave it."""

    url: str
    answer: Answer


def ask_server(index: Path, wanted: Wanted) -> ServedAnswer | None:
    """Return the answer of a server on this index, None when there is none that would answer as this process does.

    It must have this version, this index and its live generation, and the same reranker and device.
    """
    server = announced(index)
    if server is None or (server.rerank, server.device) != (wanted.rerank, wanted.device):
        return None
    try:
        generation = Generations(index).pointer().generation
        if not _is_the_server(server, generation):
            return None
        found = _post(server, {"query": wanted.query, "k": wanted.k, "options": carried(wanted.options)})
        answer = received(Answer, found)
    except (URLError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # too busy, stopping, or not what it was: this process answers itself
    return ServedAnswer(server.url, answer) if answer.generation == generation else None


def _is_the_server(server: RunningServer, generation: str) -> bool:
    nonce = secrets.token_urlsafe(24)
    said = _open(urllib.request.Request(f"{server.url}/local?nonce={nonce}"), _PROBE_S)  # noqa: S310 (our own file's http URL)
    proof = said.get("proof")
    return isinstance(proof, str) and compare_digest(proof.encode(), server.proof(nonce, generation).encode())


def _post(server: RunningServer, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {server.token}"}
    request = urllib.request.Request(f"{server.url}/local/search", json.dumps(body).encode(), headers)  # noqa: S310 (as above)
    return _open(request, _ANSWER_S)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        """Follow nothing."""


def _open(request: urllib.request.Request, seconds: float) -> Any:
    """Return the JSON of an answer; no proxy is asked, and no redirect followed."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    with opener.open(request, timeout=seconds) as response:
        return json.loads(response.read())
