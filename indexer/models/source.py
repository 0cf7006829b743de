"""Finding a model's folder: a path, the hub's local cache, the hub itself (only when allowed), the offline bundle, nothing.

Loaders are never given a bare id: with an unreachable hub the libraries stall for minutes. Whatever is chosen, the trail
says what was tried before it and why that failed.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from quarry.indexer.errors import ModelError
from quarry.indexer.messages import Message
from quarry.indexer.models import hub, offline_bundle
from quarry.indexer.models.digest import content_digest
from quarry.indexer.models.folder import check_folder, read_json, stored_id
from quarry.indexer.models.format import PROFILE_NAME, modules
from quarry.indexer.models.profiles import embedder_profile

Origin = Literal["path", "cache", "hub", "offline bundle"]
Kind = Literal["embedder", "reranker"]

# What `auto` prefers among the models in the local cache: one model for Chinese and English first, then what a CPU can
# run at an interactive speed (bge-m3 needs about 120 ms per query on two cores, the small ones 5 to 10 ms).
AUTO_EMBEDDERS = (
    "BAAI/bge-m3",
    "Qwen/Qwen3-Embedding-0.6B",
    "intfloat/multilingual-e5-small",
    "BAAI/bge-small-zh-v1.5",
    "BAAI/bge-base-zh-v1.5",
    "BAAI/bge-small-en-v1.5",
    "BAAI/bge-base-en-v1.5",
)
AUTO_RERANKERS = ("BAAI/bge-reranker-base", "BAAI/bge-reranker-v2-m3", "BAAI/bge-reranker-large")
# What `auto` downloads; `profiles` says why.
DOWNLOADED = {"embedder": "intfloat/multilingual-e5-small", "reranker": "BAAI/bge-reranker-base"}


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model was found.

    Attributes:
        folder: A complete local folder.
        model: Repository id, or the folder's path when it carries none.
        revision: Commit for the cache and the hub, content digest for a path.
        origin: How it was found.
        trail: What was tried, in order, and why it failed; the last one names what is used.
    """

    folder: Path
    model: str
    revision: str
    origin: Origin
    trail: tuple[Message, ...]


def resolve_model(
    ref: str = "auto", *, allow_download: bool = False, kind: Kind = "embedder", trail: list[Message] | None = None
) -> ModelSource | None:
    """Find a model.

    Args:
        ref: `auto`, a repository id (`BAAI/bge-m3`), or a folder.
        allow_download: Whether the hub may be asked; HF_HUB_OFFLINE overrides it.
        kind: `embedder` or `reranker`; it decides what `auto` means.
        trail: Filled with what was tried, for a caller that reports it when nothing is found.

    Returns:
        The source; None when `auto` finds nothing.

    Raises:
        ModelError: If a named model cannot be found; the message says what to do.

    Example:
        >>> from quarry.indexer import SearchError, resolve_model
        >>> try:
        ...     resolve_model("acme/no-such-model")
        ... except SearchError as err:
        ...     print(err.message.part("found"))
        acme/no-such-model cannot be found: acme/no-such-model is not in the local model cache
    """
    tried: list[Message] = [] if trail is None else trail
    if ref == "auto":
        return _auto(kind, tried, allow_download=allow_download)
    path = Path(ref).expanduser()
    if path.is_dir():
        return _from_path(path.resolve(), tried)
    if ref.startswith((".", "/", "~")) or ref.count("/") != 1:
        raise ModelError(
            "models.no_such_model",
            "{ref} is not a folder",
            expected="a model folder or an id such as BAAI/bge-m3",
            do="See `quarry models`",
            ref=ref,
        )
    cached, reason = find_cached(ref)
    if cached:
        return _found(cached, reason, tried, ref, "cache")
    tried.append(reason)
    if allow_download and (source := _download(ref, tried)):
        return source
    if ref == offline_bundle.MODEL and offline_bundle.is_installed():
        return _bundle(tried)
    if allow_download:
        raise ModelError(
            "models.not_found_anywhere",
            "{ref} cannot be found: {tried:;}",
            do="Give a model folder instead, or see `quarry models`",
            ref=ref,
            tried=tried,
        )
    raise ModelError(
        "models.not_found_here",
        "{ref} cannot be found: {tried:;}",
        do="Allow a download with --download, set HF_HOME to a cache that has it, or give a model folder. See `quarry models`",
        ref=ref,
        tried=tried,
    )


def _auto(kind: Kind, tried: list[Message], *, allow_download: bool) -> ModelSource | None:
    absent: list[str] = []
    for model in AUTO_EMBEDDERS if kind == "embedder" else AUTO_RERANKERS:
        cached, reason = find_cached(model)
        if cached:
            tried.extend(_none_cached(absent))
            return _found(cached, _one_language(model) or reason, tried, model, "cache")
        if repository_folder(model).is_dir():
            tried.append(reason)
        else:
            absent.append(model)
    tried.extend(_none_cached(absent))
    if allow_download and (source := _download(DOWNLOADED[kind], tried)):
        return source
    if kind == "embedder":
        if (absence := offline_bundle.absence()) is None:
            return _bundle(tried)
        tried.append(absence)
        tried.append(Message.of("models.no_embedder", "no embedder is used: lexical search (BM25) only"))
    else:
        tried.append(Message.of("models.no_reranker", "no reranker is used: results keep their order"))
    return None


def _none_cached(models: list[str]) -> list[Message]:
    if not models:
        return []
    return [Message.of("models.none_cached", "none of {models} is in the local model cache", models=models)]


def _one_language(model: str) -> Message | None:
    """Say that a cached model is used, and that it knows one language; None when it knows more."""
    profile = embedder_profile(model)
    if profile is None or profile.languages not in ("zh", "en"):
        return None
    if profile.languages == "zh":
        return Message.of(
            "models.cached_chinese", "using {model} from the local model cache, a model for Chinese only", model=model
        )
    return Message.of(
        "models.cached_english", "using {model} from the local model cache, a model for English only", model=model
    )


def _found(folder: Path, step: Message, tried: list[Message], model: str, origin: Origin) -> ModelSource:
    tried.append(step)
    return ModelSource(folder, model, folder.name, origin, tuple(tried))


def _download(model: str, tried: list[Message]) -> ModelSource | None:
    folder, step = hub.download(model, hub_cache())
    if folder is None:
        tried.append(step)
        return None
    try:
        _check_whole(folder)
    except ModelError as err:
        tried.append(
            Message.of(
                "models.download_incomplete",
                "the downloaded {model} is incomplete: {error}",
                model=model,
                error=err.message,
            )
        )
        return None
    return _found(folder, step, tried, model, "hub")


def _bundle(tried: list[Message], folder: Path | None = None) -> ModelSource:
    folder = folder or offline_bundle.bundle_folder()
    tried.append(
        Message.of(
            "models.using_bundle",
            "using {model} from the offline bundle ({package} {version})",
            model=offline_bundle.MODEL,
            package=offline_bundle.PACKAGE,
            version=offline_bundle.VERSION,
        )
    )
    return ModelSource(folder, offline_bundle.MODEL, offline_bundle.REVISION, "offline bundle", tuple(tried))


def _from_path(folder: Path, tried: list[Message]) -> ModelSource:
    # the bundle's own folder or an unchanged copy; a model trained from it is another model
    if offline_bundle.is_sound(folder):
        return _bundle(tried, folder)
    if folder == offline_bundle.made_folder().resolve() and offline_bundle.is_installed():
        return _bundle(tried)  # damaged, so it is made again
    config = _check_whole(folder)
    model = read_json(folder / PROFILE_NAME).get("model") or stored_id(folder, config) or str(folder)
    tried.append(Message.of("models.using_folder", "using the model in {folder}", folder=str(folder)))
    return ModelSource(folder, model, content_digest(folder), "path", tuple(tried))


def _check_whole(folder: Path) -> dict[str, Any]:
    """Check that a model folder has every file that it refers to, and return its `config.json`.

    An interrupted download lacks some of several weight files, and a cleaned cache leaves dangling links.

    Raises:
        ModelError: If a file is missing; it is named.
    """
    config = check_folder(folder)
    expected = {path.name for path in folder.glob("*.safetensors")}
    for index in folder.glob("*.safetensors.index.json"):
        expected |= _parts(index)
    expected |= {f"{module.path}/config.json" for module in modules(folder) if module.kind in ("Pooling", "Dense")}
    missing = sorted(name for name in expected if not (folder / name).is_file())
    if missing:
        raise ModelError(
            "models.incomplete",
            "{folder} lacks {missing}",
            do="Copy or download the model again",
            folder=folder,
            missing=missing,
        )
    return config


def _parts(index: Path) -> set[str]:
    """Return the files that an index of weights names. Raises ModelError when one of them is not beside it."""
    named = read_json(index).get("weight_map", {})
    files = set(named.values()) if isinstance(named, dict) and all(isinstance(n, str) for n in named.values()) else {""}
    strange = sorted(name for name in files if not name.endswith(".safetensors") or Path(name).name != name)
    if strange:
        raise ModelError(
            "models.strange_weights",
            "{path} names the weights {names}",
            expected="names of *.safetensors files beside it",
            do="Copy or download the model again",
            path=index,
            names=strange[:3],
        )
    return files


def hub_cache() -> Path:
    """Return the hub's cache folder: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub."""
    if chosen := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(os.path.expandvars(chosen)).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    return Path(os.path.expandvars(home)).expanduser() / "hub"


def repository_folder(model: str) -> Path:
    """Return a repository's folder in the local cache, whether or not it exists."""
    return hub_cache() / f"models--{model.replace('/', '--')}"


def find_cached(model: str) -> tuple[Path | None, Message]:
    """Look a repository up in the local cache: the snapshot of `main`, else any other complete one.

    Returns:
        The snapshot's folder, or None; and what was found.
    """
    repository = repository_folder(model)
    if not repository.is_dir():
        return None, Message.of("models.not_cached", "{model} is not in the local model cache", model=model)
    reference = repository / "refs" / "main"
    names = [reference.read_text(encoding="utf-8").strip()] if reference.is_file() else []
    snapshots = repository / "snapshots"
    names += sorted((path.name for path in snapshots.iterdir()), reverse=True) if snapshots.is_dir() else []
    incomplete: Message | None = None
    for name in names:
        try:
            _check_whole(snapshots / name)
        except ModelError as err:
            incomplete = incomplete or Message.of(
                "models.cache_incomplete", "the cached {model} is incomplete: {error}", model=model, error=err.message
            )
            continue
        return snapshots / name, Message.of("models.cached", "using {model} from the local model cache", model=model)
    return None, incomplete or Message.of(
        "models.no_snapshot", "{model} is in the local model cache without a snapshot", model=model
    )
