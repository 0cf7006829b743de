"""Finding a model's folder: a path, the hub's local cache, the hub itself (only when allowed), the offline bundle, nothing.

Loaders are never given a bare id: with an unreachable hub the libraries stall for minutes. Whatever is taken, the trail
says what was tried before it and why it was not there.
"""

import os
import threading
from dataclasses import dataclass
from hashlib import sha256
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from indexer import offline_bundle
from indexer.analyzer import cache_folder
from indexer.durable import write_atomic
from indexer.errors import ModelError
from indexer.loading import check_folder, read_json, stored_id
from indexer.model_format import PROFILE_NAME
from indexer.profiles import EMBEDDERS, RERANKERS, EmbedderProfile, RerankerProfile

Origin = Literal["path", "cache", "hub", "offline bundle"]
Kind = Literal["embedder", "reranker"]

# What `auto` prefers among the models in the local cache: one model for Chinese and English first, then what a CPU can
# run at an interactive speed (bge-m3 needs about 120 ms per query on two cores, the small ones 5 to 10 ms).
AUTO_EMBEDDERS = ("BAAI/bge-m3", "Qwen/Qwen3-Embedding-0.6B", "intfloat/multilingual-e5-small", "BAAI/bge-small-zh-v1.5",
                  "BAAI/bge-base-zh-v1.5", "BAAI/bge-small-en-v1.5", "BAAI/bge-base-en-v1.5")  # fmt: skip
AUTO_RERANKERS = ("BAAI/bge-reranker-base", "BAAI/bge-reranker-v2-m3", "BAAI/bge-reranker-large")
_PROBE_SECONDS = 3.0
_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "1_Pooling/*", "2_Normalize/*", "2_Dense/*"]
_DIGESTED = (".safetensors", ".json", ".txt", ".model")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model was found.

    Attributes:
        folder: A complete local folder.
        model: Repository id, or the folder's path when it carries none.
        revision: Commit for the cache and the hub, content digest for a path.
        origin: How it was found.
        trail: What was tried and why the next was taken, one sentence each; the last one names what is used.
    """

    folder: Path
    model: str
    revision: str
    origin: Origin
    trail: tuple[str, ...]


def resolve_model(ref: str = "auto", *, allow_download: bool = False, kind: Kind = "embedder") -> ModelSource | None:
    """Find a model.

    Args:
        ref: `auto`, a repository id (`BAAI/bge-m3`), or a folder.
        allow_download: Whether the hub may be asked; HF_HUB_OFFLINE forbids it all the same.
        kind: `embedder` or `reranker`; it decides what `auto` means.

    Returns:
        The source; None when `auto` finds nothing.

    Raises:
        ModelError: If a named model cannot be had; the message says what to do.
    """
    if ref == "auto":
        return _auto(kind, allow_download=allow_download)
    path = Path(ref).expanduser()
    if path.is_dir():
        return _from_path(path.resolve())
    if ref.startswith((".", "/", "~")) or ref.count("/") != 1:
        raise ModelError(
            f"{ref} is not a folder; expected a model folder or an id such as BAAI/bge-m3. See `quarry models`"
        )
    cached, reason = _cached(ref)
    if cached:
        return cached
    trail = [reason]
    if allow_download:
        found, reason = _download(ref)
        if found:
            return ModelSource(found.folder, ref, found.revision, "hub", (*trail, reason))
        trail.append(reason)
    if ref == offline_bundle.MODEL and offline_bundle.is_installed():
        return _bundle(trail)
    advice = "" if allow_download else "; allow a download with --download, or set HF_HOME to a cache that has it"
    raise ModelError(f"{ref} cannot be had: {'; '.join(trail)}{advice}; or give a folder. See `quarry models`")


def _auto(kind: Kind, *, allow_download: bool) -> ModelSource | None:
    wanted = AUTO_EMBEDDERS if kind == "embedder" else AUTO_RERANKERS
    for model in wanted:
        cached, _ = _cached(model)
        if cached:
            return cached
    trail = [f"none of {', '.join(wanted)} is in the local model cache"]
    if allow_download:
        found, reason = _download(wanted[0])
        trail.append(reason)
        if found:
            return ModelSource(found.folder, wanted[0], found.revision, "hub", tuple(trail))
    if kind == "embedder" and offline_bundle.is_installed():
        return _bundle(trail)
    return None


def _bundle(trail: list[str]) -> ModelSource:
    sentence = (
        f"using {offline_bundle.MODEL} from the offline bundle ({offline_bundle.PACKAGE} {offline_bundle.VERSION})"
    )
    return ModelSource(
        offline_bundle.bundle_folder(),
        offline_bundle.MODEL,
        offline_bundle.REVISION,
        "offline bundle",
        (*trail, sentence),
    )


def _from_path(folder: Path) -> ModelSource:
    config = check_folder(folder)
    own = read_json(folder / PROFILE_NAME)
    if own.get("origin") == "offline bundle" and own.get("revision") == offline_bundle.REVISION:
        return _bundle([])
    model = own.get("model") or stored_id(folder, config) or str(folder)
    return ModelSource(folder, model, content_digest(folder), "path", (f"using the model in {folder}",))


def hub_cache() -> Path:
    """Return the hub's cache folder: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub."""
    if chosen := os.environ.get("HF_HUB_CACHE"):
        return Path(chosen).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(home).expanduser() / "hub"


def _cached(model: str) -> tuple[ModelSource | None, str]:
    """Look a repository up in the local cache; a snapshot that lacks files does not count."""
    repository = hub_cache() / f"models--{model.replace('/', '--')}"
    if not repository.is_dir():
        return None, f"{model} is not in the local model cache"
    reference = repository / "refs" / "main"
    names = [reference.read_text(encoding="utf-8").strip()] if reference.is_file() else []
    snapshots = repository / "snapshots"
    names += sorted((path.name for path in snapshots.iterdir()), reverse=True) if snapshots.is_dir() else []
    reason = f"{model} is in the local model cache without a snapshot"
    for name in names:
        folder = snapshots / name
        try:
            check_folder(folder)
        except ModelError as err:
            reason = f"the cached {model} is incomplete: {err}"
            continue
        return ModelSource(folder, model, name, "cache", (f"using {model} from the local model cache",)), ""
    return None, reason


def _download(model: str) -> tuple[ModelSource | None, str]:
    """Ask the hub after one bounded probe; returns the source, or None, and a sentence."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return None, "HF_HUB_OFFLINE forbids to ask the model hub"
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    problem = probe(endpoint, _PROBE_SECONDS)
    if problem:
        return None, f"the model hub does not answer ({problem})"
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model, allow_patterns=_PATTERNS))
        check_folder(folder)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ModelError) as err:
        return None, f"{model} could not be downloaded ({type(err).__name__}: {str(err).splitlines()[0]})"
    return ModelSource(folder, model, folder.name, "hub", ()), f"using {model}, downloaded from the model hub"


def probe(endpoint: str, seconds: float) -> str:
    """Ask an HTTP endpoint for an answer within a hard limit; returns what is wrong, or an empty string.

    The limit holds for name resolution, connection and the first byte together, because it is kept by a thread of its own.
    """
    result = [f"no answer within {seconds:.0f} s"]

    def ask() -> None:
        from http.client import HTTPConnection, HTTPException, HTTPSConnection

        parts = urlsplit(endpoint)
        connection_class = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = connection_class(parts.hostname or "", parts.port, timeout=seconds)
        try:
            connection.request("HEAD", parts.path or "/")
            connection.getresponse()
            result[0] = ""
        except (OSError, HTTPException) as err:
            result[0] = f"{type(err).__name__}: {err}"
        finally:
            connection.close()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return result[0]


def content_digest(folder: Path) -> str:
    """Return a digest (40 hex digits) of the files that decide what a model computes.

    It is remembered in the cache folder by sizes and times, so that large weights are hashed once.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in _DIGESTED and not p.name.startswith("."))
    stamp = [[p.relative_to(folder).as_posix(), p.stat().st_size, p.stat().st_mtime_ns] for p in files]
    key = sha256(dumps([str(folder), stamp]).encode()).hexdigest()[:32]
    memory = cache_folder() / "digests" / key
    try:
        return str(loads(memory.read_text(encoding="utf-8")))
    except (OSError, JSONDecodeError):
        pass
    digest = sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    value = digest.hexdigest()[:40]
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(memory, dumps(value).encode())
    return value


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One line of `quarry models`: what a model is, needs, and whether it is here."""

    model: str
    kind: str
    languages: str
    dim: int | None
    max_tokens: int
    memory_mb: int
    here: str
    megabytes_on_disk: int | None
    folder: str
    note: str


def list_models() -> list[ModelRow]:
    """Return every known model, embedders first."""
    return [*(_row(profile) for profile in EMBEDDERS), *(_row(profile) for profile in RERANKERS)]


def _row(profile: EmbedderProfile | RerankerProfile) -> ModelRow:
    cached, reason = _cached(profile.model)
    here, folder = ("cache", cached.folder) if cached else ("", None)
    note = (
        reason
        if "incomplete" in reason
        else ("needs code of its own (--trust-remote-code)" if profile.remote_code else "")
    )
    if profile.model == offline_bundle.MODEL and not cached:
        here = "offline bundle" if offline_bundle.is_installed() else ""
        folder = offline_bundle.bundle_folder() if here else None
        note = "" if here else "pip install 'quarry-search[offline]'"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) >> 20 if folder else None
    return ModelRow(
        model=profile.model,
        kind="embedder" if isinstance(profile, EmbedderProfile) else f"reranker ({profile.kind})",
        languages=profile.languages,
        dim=profile.dim if isinstance(profile, EmbedderProfile) else None,
        max_tokens=profile.max_tokens,
        memory_mb=round(profile.million_parameters * 4),  # fp32
        here=here,
        megabytes_on_disk=size,
        folder=str(folder or ""),
        note=note,
    )
