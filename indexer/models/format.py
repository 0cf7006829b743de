"""How a model expects its texts and vectors: pooling, formats, length. Read from its folder, else from its profile.

Order: our own `quarry.json`; the sentence-transformers files, with formats from the profile where they have none; the
profile alone. A folder that says nothing is refused: a guessed pooling gives plausible, wrong vectors.
"""

from dataclasses import dataclass, replace
from json import dumps, loads
from pathlib import Path
from typing import Any, NamedTuple

from quarry.indexer.embedder import EmbedderSpec, Pooling
from quarry.indexer.errors import ModelError
from quarry.indexer.models.folder import read_json
from quarry.indexer.models.profiles import base_profile, embedder_profile
from quarry.indexer.storage.files.durable import write_atomic

PROFILE_NAME = "quarry.json"
_KNOWN_MODULES = ("Transformer", "Pooling", "Dense", "Normalize")
_FEWEST_TOKENS = 8
_LONGEST_FORMAT = 100_000
_ST_POOLING = {"cls": "cls", "mean": "mean", "lasttoken": "last_token"}


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """What `TransformerEmbedder` needs besides the weights.

    Attributes:
        model: Repository id.
        pooling: How token states become one vector.
        max_tokens: Longest input, in tokens.
        query_format: With `{query}`.
        document_format: With `{text}`.
        dense: Folders of sentence-transformers Dense layers, in order.
        bidirectional: For decoders: whether every token attends to all others.
        in_context: Whether examples may stand before a query (`quarry.indexer.models.few_shot`).
    """

    model: str
    pooling: Pooling
    max_tokens: int
    query_format: str = "{query}"
    document_format: str = "{text}"
    dense: tuple[Path, ...] = ()
    bidirectional: bool = False
    in_context: bool = False


def model_format(folder: Path, config: dict[str, Any], model: str) -> ModelFormat:
    """Find out how a model folder is used.

    Args:
        folder: The model folder.
        config: Its `config.json`.
        model: The repository id, empty when unknown.

    Raises:
        ModelError: If neither the folder nor the profiles give the pooling, or a file of the folder is damaged.
    """
    found = _model_format(folder, config, model)
    profile = embedder_profile(model)
    looks_ahead = config.get("is_causal") is False or config.get("use_bidirectional_attention") is True
    tuned_from = base_profile(found.model)
    return replace(
        found,
        bidirectional=looks_ahead or (profile is not None and profile.bidirectional),
        in_context=found.in_context or (tuned_from is not None and tuned_from.in_context),
    )


def _model_format(folder: Path, config: dict[str, Any], model: str) -> ModelFormat:
    longest = _longest(config)
    own = read_json(folder / PROFILE_NAME)
    if own:
        try:
            _check_profile(own)
            listed = modules(folder)
            _check_kinds(folder, listed)
            return ModelFormat(
                own["model"],
                own["pooling"],
                min(own["max_tokens"], longest),
                own["query_format"],
                own["document_format"],
                dense=_dense(folder, listed),
                in_context=bool(own.get("in_context")),
            )
        except ValueError as err:
            raise ModelError(
                "models.profile_value",
                "{path}: {error}",
                expected="what `write_profile` writes",
                do="Copy or download the model again",
                path=folder / PROFILE_NAME,
                error=str(err),
            ) from err
        except KeyError as err:
            raise ModelError(
                "models.profile_key",
                "{path} lacks the key {key}",
                expected="what `write_profile` writes",
                do="Copy or download the model again",
                path=folder / PROFILE_NAME,
                key=str(err),
            ) from err
    profile = embedder_profile(model)
    known = (
        ModelFormat(
            model, profile.pooling, min(profile.max_tokens, longest), profile.query_format, profile.document_format
        )
        if profile
        else None
    )
    if (folder / "modules.json").is_file():
        return _sentence_transformers(folder, model, known, longest)
    if known is None:
        raise ModelError(
            "models.no_pooling",
            "{folder} does not say its pooling, and {model} is not a known model",
            expected="{profile}, modules.json with 1_Pooling, or a model of `quarry models`",
            do="Save it with sentence-transformers, or add the file",
            folder=folder,
            model=repr(model or folder.name),
            profile=PROFILE_NAME,
        )
    return known


def _check_profile(own: dict[str, Any]) -> None:
    """Raise ValueError or KeyError when a profile does not have what belongs in it."""
    texts = ("model", "pooling", "query_format", "document_format")
    if other := [key for key in texts if not isinstance(own[key], str)]:
        raise ValueError(f"{other[0]} is {str(own[other[0]])[:100]!r}, not a text")
    if own["pooling"] not in _ST_POOLING.values():
        raise ValueError(f"pooling is {own['pooling'][:100]!r}")
    length = own["max_tokens"]
    if not isinstance(length, int) or isinstance(length, bool) or length < _FEWEST_TOKENS:
        raise ValueError(f"max_tokens is {str(length)[:100]}, fewer than {_FEWEST_TOKENS}")
    for key, slot in (("query_format", "{query}"), ("document_format", "{text}")):
        if own[key].count(slot) != 1 or len(own[key]) > _LONGEST_FORMAT:
            raise ValueError(f"{key} has no place for {slot}, or is longer than {_LONGEST_FORMAT:,} characters")


def with_instruction(query_format: str, instruction: str) -> str:
    """Return a query format with another task sentence, which replaces the whole prefix when the format has no slot for one.

    Examples in front of the query keep theirs.
    """
    head, tail = query_format.split("{query}", 1)
    for before, after in (("<instruct>", "\n<query>"), ("Instruct: ", "\nQuery:"), ("Instruct: ", " \n Query:")):
        start = head.rfind(before)
        if start >= 0 and after in head[start:]:
            return f"{head[:start]}{before}{instruction}{head[head.index(after, start) :]}{{query}}{tail}"
    return f"{instruction}{{query}}{tail}"


def _longest(config: dict[str, Any]) -> int:
    positions = int(config.get("max_position_embeddings") or 1 << 20)
    return positions - 2 if config.get("model_type") in ("xlm-roberta", "roberta", "camembert") else positions


def _sentence_transformers(folder: Path, model: str, known: ModelFormat | None, longest: int) -> ModelFormat:
    listed = modules(folder)
    _check_kinds(folder, listed)
    pooling = _pooling(folder / next((module.path for module in listed if module.kind == "Pooling"), "1_Pooling"))
    settings = read_json(folder / "sentence_bert_config.json")
    length = settings.get("max_seq_length") or (known or ModelFormat(model, pooling, longest)).max_tokens
    prompts = read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    prompts = prompts if isinstance(prompts, dict) else {"query": 0}
    query, document = prompts.get("query") or "", prompts.get("document") or prompts.get("passage") or ""
    if not isinstance(query, str) or not isinstance(document, str) or not isinstance(length, int) or length < 1:
        raise ModelError(
            "models.st_settings",
            "{folder} has settings of sentence-transformers of another kind: max_seq_length, or prompts",
            expected="a whole number, and texts",
            do="Copy or download the model again",
            folder=folder,
        )
    plain = ModelFormat(model or folder.name, pooling, longest)
    found = replace(
        known or plain,
        pooling=pooling,
        max_tokens=min(length, longest),
        dense=_dense(folder, listed),
    )
    if query or document:
        return replace(found, query_format=f"{query}{{query}}", document_format=f"{document}{{text}}")
    return found


def _check_kinds(folder: Path, listed: "list[Module]") -> None:
    unknown = [module.kind for module in listed if module.kind not in _KNOWN_MODULES]
    if unknown:
        raise ModelError(
            "models.unknown_modules",
            "{folder} has the modules {unknown}",
            expected="none but {known}",
            do="Choose a model of `quarry models`",
            folder=folder,
            unknown=unknown,
            known=list(_KNOWN_MODULES),
        )


class Module(NamedTuple):
    """One entry of a sentence-transformers `modules.json`: its kind, such as `Pooling`, and its folder, relative."""

    kind: str
    path: str


def modules(folder: Path) -> list[Module]:
    """Return the sentence-transformers modules of a model folder, in order; empty when it has no `modules.json`.

    Raises:
        ModelError: If `modules.json` is not a list of objects with `type` and `path`.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return []
    try:
        listed = loads(path.read_text(encoding="utf-8"))
        return [Module(module["type"].rpartition(".")[2], _relative(module["path"])) for module in listed]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise ModelError(
            "models.damaged_modules",
            "{path} is damaged ({error})",
            expected="a list of objects with `type` and `path`",
            do="Copy or download the model again",
            path=path,
            error=f"{type(err).__name__}: {err}",
        ) from err


def _relative(path: str) -> str:
    """Return a module's folder. Raises ValueError when it leads out of the model folder."""
    if path.startswith("/") or ".." in Path(path).parts:
        raise ValueError(f"the path {path!r} leads out of the folder")
    return path


def _dense(folder: Path, listed: list[Module]) -> tuple[Path, ...]:
    return tuple(folder / module.path for module in listed if module.kind == "Dense")


def _pooling(folder: Path) -> Pooling:
    config = read_json(folder / "config.json")
    names = {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_lasttoken": "last_token",
    }
    modes = [name for key, name in names.items() if config.get(key)]
    named = config.get("pooling_mode")
    if isinstance(named, str):
        modes = [_ST_POOLING.get(named, named)]
    if len(modes) != 1 or modes[0] not in ("cls", "mean", "last_token"):
        raise ModelError(
            "models.unknown_pooling",
            "{folder} asks for the pooling {pooling}",
            expected="one of cls, mean, last token",
            do="Choose a model of `quarry models`",
            folder=folder,
            pooling=modes or str(config),
        )
    return modes[0]  # type: ignore[return-value]


def write_profile(folder: Path, spec: EmbedderSpec, *, in_context: bool = False) -> None:
    """Write `quarry.json` into a model folder, so that a copy of the folder is used in the same way.

    Args:
        folder: The model folder.
        spec: How it is used.
        in_context: Whether it was trained to read examples before a query.
    """
    content: dict[str, Any] = {
        "model": spec.model,
        "revision": spec.revision,
        "pooling": spec.pooling,
        "query_format": spec.query_format,
        "document_format": spec.document_format,
        "max_tokens": spec.max_tokens,
        "normalize": spec.normalize,
        "origin": spec.origin,
    }
    if in_context:
        content["in_context"] = True
    write_atomic(folder / PROFILE_NAME, dumps(content, ensure_ascii=False, indent=1).encode())
