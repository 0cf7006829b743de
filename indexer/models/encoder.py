"""Loading an embedder: options, and which code computes the model.

BERT, RoBERTa and XLM-R encoders are computed by our own forward pass (`bert`), which starts in a fraction of the time. Everything else
goes to transformers, and `TransformerEmbedder.fallback` says why.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import ModelError
from quarry.indexer.messages import Message
from quarry.indexer.models.batching import give_back
from quarry.indexer.models.few_shot import (
    ALL_TOKENS,
    Shot,
    ShotLimits,
    checked_shots,
    cut_shots,
    with_shots,
    without_shots,
)
from quarry.indexer.models.folder import check_folder, stored_id
from quarry.indexer.models.format import ModelFormat, model_format, with_instruction
from quarry.indexer.models.forward.bert_folder import load_bert, why_not_bert
from quarry.indexer.models.forward.m3 import load_heads
from quarry.indexer.models.forward.padded import Padded
from quarry.indexer.models.forward.precision import Compute, WantedPrecision, split_device
from quarry.indexer.models.forward.replica import Network, Replica, dense_layer
from quarry.indexer.models.loading import choose_device, load_tokenizer, load_weights
from quarry.indexer.models.profiles import embedder_profile
from quarry.indexer.models.tokenizer import ModelTokenizer, read_tokenizer
from quarry.indexer.models.transformer import TransformerEmbedder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BLANK_LINES = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How to run a model.

    Attributes:
        instruction: Replaces the task sentence of models that take one; None keeps the profile's.
        examples: (query, response) pairs, or `Shot`s, for few-shot queries of in-context models such as bge-en-icl; each part is cut
            to 256 tokens, and further where a query with all of them would pass 2,048.
        query_format: Replaces the whole format of queries, with `{query}`: what an index records. `instruction` and `examples`
            come after it; None keeps the model's.
        token_budget: Padded tokens per forward; None chooses by device.
        trust_remote_code: Whether code in the model's folder may run.
        precision: `auto` takes bfloat16 for products on GPUs and on CPUs that compute in it natively, else float32. Vectors of
            the two have a cosine of at least 0.9999, so an index may hold both, and the spec does not tell them apart.
    """

    instruction: str | None = None
    examples: tuple[tuple[str, str] | Shot, ...] = ()
    query_format: str | None = None
    token_budget: int | None = None
    trust_remote_code: bool = False
    precision: WantedPrecision = "auto"


def load_embedder(
    folder: Path,
    *,
    model_id: str | None = None,
    revision: str = "",
    origin: str = "path",
    device: str = "auto",
    dim: int | None = None,
    options: EncoderOptions = EncoderOptions(),
) -> "TransformerEmbedder":
    """Load an embedder from a local folder.

    Args:
        folder: A Hugging Face or sentence-transformers folder with safetensors weights.
        model_id: Repository id; None reads it from the folder.
        revision: Commit or content digest, recorded in the spec.
        origin: How the folder was found, recorded in the spec.
        device: `auto`, `cpu`, `cuda`, `cuda:N`, or several devices separated by commas; a precision may follow, as in
            `cpu:float32`, unless `options` set one.
        dim: Matryoshka truncation; None keeps the model's dimension.
        options: How to run it.

    Raises:
        ModelError: If the folder is incomplete, damaged or unknown, or dim is out of range.

    Example:
        >>> from quarry.indexer import load_embedder, resolve_model
        >>> source = resolve_model("auto")  # doctest: +SKIP
        >>> embedder = load_embedder(source.folder, model_id=source.model)  # doctest: +SKIP
        >>> embedder.embed_documents(["Renew books twice online."]).shape  # doctest: +SKIP
        (1, 384)
    """
    config = check_folder(folder)
    shape = model_format(folder, config, model_id or stored_id(folder, config))
    where = _where(device, options.precision)
    trust = _own_code(folder, config, shape.model, allowed=options.trust_remote_code)
    loaded = _loaded(folder, config, shape, where, trust=trust)
    heads = load_heads(folder, loaded.networks[0].hidden_size, loaded.tokenizer.special_ids)
    replicas = [
        Replica(
            network,
            [dense_layer(path, each.device) for path in shape.dense],
            each,
            heads.to(each.device) if heads else None,
        )
        for network, each in zip(loaded.networks, where, strict=True)
    ]
    width = replicas[0].width
    if dim is not None and not 1 <= dim <= width:
        raise ModelError(
            "models.dim",
            "dim is {dim}",
            expected="1 to {width}, the dimension of {model}",
            do="Leave it out for the whole vector",
            dim=dim,
            width=width,
            model=shape.model,
        )
    spec = EmbedderSpec(
        model=shape.model,
        revision=revision,
        dim=dim or width,
        max_tokens=shape.max_tokens,
        pooling=shape.pooling,
        query_format=_query_format(shape, options, loaded.tokenizer.backend_tokenizer),
        document_format=shape.document_format,
        origin=origin,
    )
    give_back()  # loading leaves about 150 MB of freed memory behind
    return TransformerEmbedder(
        spec, loaded.tokenizer, replicas, token_budget=options.token_budget, fallback=loaded.fallback
    )


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A folder's tokenizer and weights, once per device, and why transformers computes them (None when it does not)."""

    tokenizer: ModelTokenizer
    networks: list[Network]
    fallback: Message | None


def _loaded(folder: Path, config: dict[str, Any], shape: ModelFormat, where: list[Compute], *, trust: bool) -> _Loaded:
    reason = why_not_bert(folder, config)
    if trust:
        reason = Message.of("models.computed_by_own_code", "its folder brings its own code")
    if reason is None:
        tokenizer = read_tokenizer(folder, config)
        networks: list[Network] = []
        for each in where:
            encoder = load_bert(folder, config, each)
            if isinstance(encoder, Message):
                reason = encoder
                break
            networks.append(encoder)
        else:
            return _Loaded(tokenizer, networks, None)
    from transformers import AutoModel

    tokenizer = load_tokenizer(folder, config, trust_remote_code=trust)
    networks = [
        Padded(
            load_weights(AutoModel, folder, device=each.device, precision=each.precision, trust_remote_code=trust),
            tokenizer.padding,
            bidirectional=shape.bidirectional,
        )
        for each in where
    ]
    return _Loaded(tokenizer, networks, reason)


def _own_code(folder: Path, config: dict[str, Any], model: str, *, allowed: bool) -> bool:
    """Return whether code in the folder computes the model; known models are computed without theirs.

    Raises:
        ModelError: If an unknown model has code that is not allowed: transformers would silently use its own class instead.
    """
    if "AutoModel" not in (config.get("auto_map") or {}) or embedder_profile(model) is not None:
        return False
    if not allowed:
        raise ModelError(
            "models.own_code",
            "{folder} contains its own model code, which may mask attention in another way than transformers does",
            expected="trust_remote_code=True in EncoderOptions",
            do="Read that code first, or choose a model of `quarry models`",
            folder=folder,
        )
    return True


def _where(device: str, precision: WantedPrecision) -> list[Compute]:
    import torch

    names, wanted = split_device(device, precision)
    if names == "auto" and torch.cuda.device_count() > 1:
        names = ",".join(f"cuda:{number}" for number in range(torch.cuda.device_count()))
    return [Compute.of(choose_device(name.strip()), wanted) for name in names.split(",")]


def _query_format(shape: ModelFormat, options: EncoderOptions, tokenizer: "Tokenizer") -> str:
    """Fill another instruction and few-shot examples into a query format."""
    known = options.query_format or shape.query_format
    if options.instruction is not None:
        # a blank line ends an example
        instruction = _BLANK_LINES.sub("\n", options.instruction) if shape.in_context else options.instruction
        known = with_instruction(known, instruction)
    if not options.examples:
        return known
    if not shape.in_context:
        raise ModelError(
            "models.no_examples",
            "{model} takes no examples",
            expected="an in-context model such as BAAI/bge-en-icl",
            do="Leave the examples out",
            model=shape.model,
        )
    limits = ShotLimits(together=min(ALL_TOKENS, shape.max_tokens))
    plain = without_shots(known)
    return with_shots(plain, cut_shots(plain, checked_shots(options.examples), tokenizer, limits))
