"""Asking the model hub: after a probe that costs seconds at most, for safetensors, and never for pickles.

The libraries stall for minutes on a hub that is unreachable or silent, and read HF_HUB_OFFLINE, HF_ENDPOINT and the cache's
place once, at import. Here the environment counts as it is when the question is asked.
"""

import os
import threading
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

_PROBE_SECONDS = 3.0
_LISTING_SECONDS = 5.0
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]
_UNWANTED = ["onnx/*", "openvino/*", "coreml/*"]
_TRUE = ("1", "ON", "YES", "TRUE")


def offline_switch() -> str:
    """Return the name of the variable that forbids to ask the hub, empty when none does."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").upper() in _TRUE), "")


def download(model: str, cache: Path) -> tuple[Path | None, str]:
    """Download what a model needs.

    Args:
        model: Repository id.
        cache: The hub's cache folder to put it in.

    Returns:
        The snapshot's folder, or None; and a sentence that says what happened.
    """
    if switch := offline_switch():
        return None, f"{switch} forbids to ask the model hub"
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    host = urlsplit(endpoint).hostname or endpoint
    if problem := probe(endpoint, _PROBE_SECONDS):
        return None, f"the model hub does not answer at {host} ({problem})"
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    http_error: type[Exception] = HfHubHTTPError.__mro__[
        1
    ]  # HTTPError of the HTTP library in use (httpx, then httpx2); not an OSError
    try:
        files = HfApi(endpoint=endpoint).model_info(model, timeout=_LISTING_SECONDS).siblings or []
    except (
        http_error,
        OSError,
        ValueError,
        KeyError,
        TypeError,
    ) as err:  # the last three: an answer that is no listing
        return None, f"the model hub at {host} gives no file list of {model} ({_brief(err)})"
    if not any(file.rfilename.endswith(".safetensors") for file in files):
        return None, (
            f"{model} has no *.safetensors on the hub, and pickled weights are not loaded because they can run code; "
            "save it as safetensors where you trust it and give the folder"
        )
    try:
        folder = snapshot_download(
            model, cache_dir=cache, endpoint=endpoint, allow_patterns=_WANTED, ignore_patterns=_UNWANTED
        )
    except (http_error, OSError, ValueError, KeyError, TypeError) as err:
        return None, f"{model} could not be downloaded ({_brief(err)})"
    return Path(folder), f"using {model}, downloaded from the model hub"


def probe(endpoint: str, seconds: float) -> str:
    """Ask an HTTP endpoint for an answer within a hard limit; returns what is wrong, or an empty string.

    The limit holds for name resolution, connection and the first byte together, because it is kept by a thread of its own.
    Any status counts as an answer. Proxies of the environment are used, as the download will use them.
    """
    if urlsplit(endpoint).scheme not in ("http", "https"):
        return "it is not an http or https address; correct HF_ENDPOINT"
    result = [f"no answer within {seconds:.0f} s"]

    def ask() -> None:
        try:
            with urlopen(Request(endpoint, method="HEAD"), timeout=seconds):  # noqa: S310 - the scheme is checked above
                result[0] = ""
        except HTTPError as err:  # a status, so it answers
            err.close()
            result[0] = ""
        except (OSError, HTTPException, ValueError) as err:
            result[0] = _brief(err)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return result[0]


def _brief(err: BaseException) -> str:
    """Return an error's type and the first line of its message, which may be empty."""
    return f"{type(err).__name__}: {str(err).strip()}".splitlines()[0]
