"""Which vector servers an index may ask.

Its folder names the server, and a folder can come from somebody else: that server would receive every question, and the user's token.
A server is known once an index was made with it on this machine (`--uri`), as ssh knows hosts, or when the environment names it.
One on loopback always is.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from quarry.indexer.errors import SettingsError
from quarry.indexer.hosts import is_loopback
from quarry.indexer.lexical.analyzer import cache_folder
from quarry.indexer.storage.files.durable import write_atomic

VARIABLE = "QUARRY_VECTOR_SERVER"
"""Addresses of servers that any index may ask, separated by white space."""
_NAME = "vector-servers"


def remember(uri: str) -> None:
    """Know a server from now on, because the user named it.

    Raises:
        OSError: If the list cannot be written.
    """
    known = _kept()
    if uri in known or _is_here(uri):
        return
    cache_folder().mkdir(parents=True, exist_ok=True)
    write_atomic(_list(), "".join(f"{one}\n" for one in (*known, uri)).encode())


def check_known(uri: str) -> None:
    """Refuse a server that only the index folder names.

    Raises:
        SettingsError: If it is not known.
    """
    if _is_here(uri) or uri in _kept() or uri in os.environ.get(VARIABLE, "").split():
        return
    raise SettingsError(
        "stores.unknown_server",
        "the index names the vector server {uri}, which no index was made with on this machine",
        expected="a server that you named, because it receives your questions and your token",
        do="If it is yours, set {variable}={uri}, or index with --uri {uri}",
        uri=uri,
        variable=VARIABLE,
    )


def _kept() -> list[str]:
    try:
        return _list().read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _list() -> Path:
    return cache_folder() / _NAME


def _is_here(uri: str) -> bool:
    return "://" in uri and is_loopback(urlsplit(uri).hostname or "")
