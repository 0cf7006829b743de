"""Asking the model hub: for safetensors, never for pickles, and only after a probe that takes seconds at most.

The libraries stall for minutes on a hub that is unreachable or silent, and read HF_HUB_OFFLINE, HF_ENDPOINT and the cache's
place once, at import. Here the environment is read when the hub is asked.
"""

import os
import threading
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from quarry.indexer.messages import Message

_PROBE_SECONDS = 3.0
_LISTING_SECONDS = 5.0
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]
_UNWANTED = ["onnx/*", "openvino/*", "coreml/*"]
_TRUE = ("1", "ON", "YES", "TRUE")


def offline_switch() -> str:
    """Return the name of the variable that says not to ask the hub, empty when none is set."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").upper() in _TRUE), "")


def download(model: str, cache: Path) -> tuple[Path | None, Message]:
    """Download what a model needs.

    Args:
        model: Repository id.
        cache: The hub's cache folder to put it in.

    Returns:
        The snapshot's folder, or None; and what happened.
    """
    if switch := offline_switch():
        return None, Message.of("models.hub_off", "{switch} is set, so the model hub is not asked", switch=switch)
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    host = urlsplit(endpoint).hostname or endpoint
    if problem := probe(endpoint, _PROBE_SECONDS):
        return None, Message.of(
            "models.hub_silent", "the model hub does not answer at {host} ({problem})", host=host, problem=problem
        )
    from huggingface_hub import HfApi, snapshot_download

    failures = _failures()
    try:
        files = HfApi(endpoint=endpoint).model_info(model, timeout=_LISTING_SECONDS).siblings or []
    except failures as err:
        return None, Message.of(
            "models.no_listing",
            "the model hub at {host} gives no file list of {model} ({error})",
            host=host,
            model=model,
            error=_brief(err),
        )
    if not any(file.rfilename.endswith(".safetensors") for file in files):
        return None, Message.of(
            "models.hub_pickles",
            "{model} has no *.safetensors on the hub, and pickled weights are never loaded because they can run code",
            do="Save it as safetensors where you trust it, and give the folder",
            model=model,
        )
    try:
        folder = snapshot_download(
            model, cache_dir=cache, endpoint=endpoint, allow_patterns=_WANTED, ignore_patterns=_UNWANTED
        )
    except failures as err:
        return None, Message.of(
            "models.not_downloaded", "{model} could not be downloaded ({error})", model=model, error=_brief(err)
        )
    return Path(folder), Message.of("models.downloaded", "using {model}, downloaded from the model hub", model=model)


def _failures() -> tuple[type[Exception], ...]:
    """Return what huggingface_hub raises when it gets no usable answer.

    Errors of its HTTP library (httpx in version 1, httpx2 in version 2) reach the caller as they are; `HTTPError` is their base.
    The last three come from an answer that is not a listing.
    """
    from huggingface_hub.errors import HTTPError as HubHTTPError  # type: ignore[attr-defined]

    return (HubHTTPError, OSError, ValueError, KeyError, TypeError)


def probe(endpoint: str, seconds: float) -> Message | None:
    """Ask an HTTP endpoint for an answer within a hard limit; return what is wrong, None when it answers.

    A separate thread keeps the limit, so that it covers name resolution, connection and the first byte together. Any status
    counts as an answer. Proxies of the environment are used, as the download will use them.
    """
    if urlsplit(endpoint).scheme not in ("http", "https"):
        return Message.of("models.endpoint_scheme", "it is not an http or https address; correct HF_ENDPOINT")
    result: list[Message | None] = [Message.of("models.no_answer", "no answer within {seconds:.0f} s", seconds=seconds)]

    def ask() -> None:
        try:
            with urlopen(Request(endpoint, method="HEAD"), timeout=seconds):  # noqa: S310 (the scheme is checked above)
                result[0] = None
        except HTTPError as err:  # a status, so it answers
            err.close()
            result[0] = None
        except (OSError, HTTPException, ValueError) as err:
            result[0] = Message.plain(_brief(err))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return result[0]


def _brief(err: BaseException) -> str:
    """Return an error's type and the first line of its text, which may be empty."""
    return f"{type(err).__name__}: {str(err).strip()}".splitlines()[0]
