"""How a model folder wants its texts and vectors: pooling, formats, length. Read from the folder, else from the profile.

Order: our own `quarry.json`; the sentence-transformers files, with formats from the profile where they carry none; the
profile alone. A folder that tells nothing is refused: a guessed pooling gives plausible, wrong vectors.
"""

from dataclasses import dataclass, replace
from json import dumps, loads
from pathlib import Path
from typing import Any

from quarry.indexer.embedder import EmbedderSpec, Pooling
from quarry.indexer.errors import ModelError
from quarry.indexer.models.loading import read_json
from quarry.indexer.models.profiles import embedder_profile
from quarry.indexer.storage.durable import write_atomic

PROFILE_NAME = "quarry.json"
_ST_POOLING = {"cls": "cls", "mean": "mean", "lasttoken": "last_token"}


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """What `TransformerEmbedder` needs besides the weights.

    `dense` are folders of sentence-transformers Dense layers. `bidirectional` is for decoders: every token sees all others.
    """

    model: str
    pooling: Pooling
    max_tokens: int
    query_format: str = "{query}"
    document_format: str = "{text}"
    dense: tuple[Path, ...] = ()
    bidirectional: bool = False


def model_format(folder: Path, config: dict[str, Any], model: str) -> ModelFormat:
    """Find out how a folder wants to be used.

    Args:
        folder: The model folder.
        config: Its `config.json`.
        model: The repository id, empty when unknown.

    Raises:
        ModelError: If neither the folder nor the profiles tell the pooling.
    """
    found = _model_format(folder, config, model)
    profile = embedder_profile(model)
    looks_ahead = config.get("is_causal") is False or config.get("use_bidirectional_attention") is True
    return replace(found, bidirectional=looks_ahead or (profile is not None and profile.bidirectional))


def _model_format(folder: Path, config: dict[str, Any], model: str) -> ModelFormat:
    longest = _longest(config)
    own = read_json(folder / PROFILE_NAME)
    if own:
        try:
            return ModelFormat(
                own["model"],
                own["pooling"],
                min(own["max_tokens"], longest),
                own["query_format"],
                own["document_format"],
                dense=tuple(path for kind, path in _modules(folder) if kind == "Dense"),
            )
        except KeyError as err:
            raise ModelError(f"{folder / PROFILE_NAME} lacks {err}; expected what `write_profile` writes") from err
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
            f"{folder} does not tell its pooling and {model or 'its id'!r} is not a known model; expected {PROFILE_NAME}, "
            "modules.json with 1_Pooling, or a model of `quarry models`. Save it with sentence-transformers, or add the file"
        )
    return known


def with_instruction(query_format: str, instruction: str) -> str:
    """Return a query format with another task sentence; where the format has no place for one, it replaces the prefix."""
    head, tail = query_format.split("{query}", 1)
    for before, after in (("<instruct>", "\n<query>"), ("Instruct: ", "\nQuery:"), ("Instruct: ", " \n Query:")):
        if head.startswith(before) and after in head:
            return f"{before}{instruction}{head[head.index(after) :]}{{query}}{tail}"
    return f"{instruction}{{query}}{tail}"


def _longest(config: dict[str, Any]) -> int:
    positions = int(config.get("max_position_embeddings") or 1 << 20)
    return positions - 2 if config.get("model_type") in ("xlm-roberta", "roberta", "camembert") else positions


def _sentence_transformers(folder: Path, model: str, known: ModelFormat | None, longest: int) -> ModelFormat:
    kinds = _modules(folder)
    unknown = [kind for kind, _ in kinds if kind not in ("Transformer", "Pooling", "Normalize", "Dense")]
    if unknown:
        raise ModelError(f"{folder} has modules {unknown}; expected Transformer, Pooling, Dense and Normalize only")
    pooling = _pooling(next((path for kind, path in kinds if kind == "Pooling"), folder / "1_Pooling"))
    settings = read_json(folder / "sentence_bert_config.json")
    prompts = read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    query, document = prompts.get("query") or "", prompts.get("document") or prompts.get("passage") or ""
    plain = ModelFormat(model or folder.name, pooling, longest)
    found = replace(
        known or plain,
        pooling=pooling,
        max_tokens=min(int(settings.get("max_seq_length") or (known or plain).max_tokens), longest),
        dense=tuple(path for kind, path in kinds if kind == "Dense"),
    )
    if query or document:
        return replace(found, query_format=f"{query}{{query}}", document_format=f"{document}{{text}}")
    return found


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Kind and folder of each sentence-transformers module, in order; empty when the folder lists none."""
    path = folder / "modules.json"
    modules = loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return [(str(module["type"]).rpartition(".")[2], folder / module["path"]) for module in modules]


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
        raise ModelError(f"{folder} asks for pooling {modes or config}; expected one of cls, mean, last token")
    return modes[0]  # type: ignore[return-value]


def write_profile(folder: Path, spec: EmbedderSpec) -> None:
    """Write `quarry.json` into a model folder, so that it is used the same way wherever it is copied to."""
    content = {
        "model": spec.model,
        "revision": spec.revision,
        "pooling": spec.pooling,
        "query_format": spec.query_format,
        "document_format": spec.document_format,
        "max_tokens": spec.max_tokens,
        "normalize": spec.normalize,
        "origin": spec.origin,
    }
    write_atomic(folder / PROFILE_NAME, dumps(content, ensure_ascii=False, indent=1).encode())
