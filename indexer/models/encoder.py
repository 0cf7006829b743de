"""Encoding with transformer models: the Embedder that Quarry runs on.

texts -> format -> tokens (once, in Rust) -> batches by token budget, longest first -> one forward each -> pooling ->
one preallocated float32 array. One query is one forward. When memory runs out, the budget is halved.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import EmbedderSpec, Progress, Spans, TokenSink, TokenVectors, Vectors
from quarry.indexer.errors import ModelError
from quarry.indexer.models.batching import TokenBudget, give_back
from quarry.indexer.models.format import model_format, with_instruction
from quarry.indexer.models.loading import check_folder, choose_device, load_tokenizer, load_weights, stored_id
from quarry.indexer.models.precision import Compute, Precision, WantedPrecision, split_device
from quarry.indexer.models.profiles import embedder_profile
from quarry.indexer.models.replica import Replica, dense_layer
from quarry.indexer.models.token_spans import HfTokenSpans
from quarry.indexer.models.tokenizer import ModelTokenizer

_Forward: TypeAlias = tuple[Vectors, list[TokenVectors]]
_WINDOW = 8192  # texts tokenized and sorted together: bounds the memory for tokens
# padded tokens per forward: on a CPU few texts of similar length, so that 96 % of a sorted slice of 512 are real tokens
_BUDGET_CPU = 2048
_BUDGET_GPU = 131_072
_QUERIES_KEPT = 16  # queries whose token states are kept; more at once are an evaluation, and are not
_CHARS_PER_TOKEN = 64  # no tokenizer makes tokens that long, so text past it is cut before tokenizing


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How to run a model.

    Attributes:
        instruction: Replaces the task sentence of models that take one; None keeps the profile's.
        examples: (query, response) pairs for few-shot queries of in-context models such as bge-en-icl.
        token_budget: Padded tokens per forward; None chooses by device.
        trust_remote_code: Whether code in the model's folder may run.
        precision: `auto` takes bfloat16 for products on GPUs and on CPUs that compute in it natively, else float32. Vectors of
            the two have a cosine of at least 0.9999, so an index may hold both, and the spec does not tell them apart.
    """

    instruction: str | None = None
    examples: tuple[tuple[str, str], ...] = ()
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
    from transformers import AutoModel

    config = check_folder(folder)
    shape = model_format(folder, config, model_id or stored_id(folder, config))
    where = _where(device, options.precision)
    trust = _own_code(folder, config, shape.model, allowed=options.trust_remote_code)
    tokenizer = load_tokenizer(folder, config, trust_remote_code=trust)
    replicas = [
        Replica(
            load_weights(AutoModel, folder, device=each.device, precision=each.precision, trust_remote_code=trust),
            [dense_layer(path, each.device) for path in shape.dense],
            each,
            bidirectional=shape.bidirectional,
        )
        for each in where
    ]
    width = replicas[0].width(int(config["hidden_size"]))
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
        query_format=_query_format(shape.model, shape.query_format, options),
        document_format=shape.document_format,
        origin=origin,
    )
    give_back()  # loading leaves about 150 MB of freed memory behind
    return TransformerEmbedder(spec, tokenizer, replicas, options)


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


def _query_format(model: str, known: str, options: EncoderOptions) -> str:
    """Fill another instruction and few-shot examples into a query format."""
    profile = embedder_profile(model)
    if options.instruction is not None:
        known = with_instruction(known, options.instruction)
    head, tail = known.split("{query}", 1)
    if options.examples:
        if profile is None or not profile.example_format:
            raise ModelError(
                "models.no_examples",
                "{model} takes no examples",
                expected="an in-context model such as BAAI/bge-en-icl",
                do="Leave the examples out",
                model=model,
            )
        instruct = head.removeprefix("<instruct>").split("\n<query>")[0]
        shots = [
            profile.example_format.replace("{instruct}", instruct)
            .replace("{query}", query)
            .replace("{response}", response)
            for query, response in options.examples
        ]
        head = "".join(shots) + head
    return f"{head}{{query}}{tail}"


def _too_long(tokens: int) -> ModelError:
    return ModelError(
        "models.out_of_memory",
        "memory ran out for one text of {tokens:token|tokens}",
        do="Use shorter passages (--chunk-tokens), a smaller model, or --device cpu",
        tokens=tokens,
    )


@dataclass(frozen=True, slots=True)
class _Own:
    """Which tokens of a formatted text are the text's own, and who gets their states.

    Attributes:
        head: Characters of the format before the text.
        tail: Characters of the format after it.
        sink: Receives the states.
    """

    head: int
    tail: int
    sink: TokenSink

    def positions(self, encoding: Any, length: int) -> NDArray[np.int64]:
        """Return the positions of the text's own tokens in an encoding of `length` characters, special tokens left out."""
        spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        # a token may begin with the blank before it, which is the format's
        inside = (spans[:, 1] > self.head) & (spans[:, 0] < length - self.tail) & (spans[:, 1] > spans[:, 0])
        return np.flatnonzero(inside & (np.array(encoding.special_tokens_mask) == 0))


class TransformerEmbedder:
    """An Embedder on transformers and torch. Safe to use from several threads."""

    def __init__(
        self, spec: EmbedderSpec, tokenizer: ModelTokenizer, replicas: list[Replica], options: EncoderOptions
    ) -> None:
        self._spec = spec
        self._replicas = replicas
        gpu = replicas[0].where.device.startswith("cuda")
        tokens = options.token_budget or (_BUDGET_GPU if gpu else _BUDGET_CPU)
        self._budget = TokenBudget(tokens, _too_long)
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0)
        self._tokenizer = tokenizer.backend_tokenizer  # one, and never changed: each takes 100 MB with 128,000 tokens
        self._room = spec.max_tokens - self._tokenizer.num_special_tokens_to_add(False)
        self._tokens = HfTokenSpans(self._tokenizer, spec.model)
        self._kept: dict[
            str, TokenVectors
        ] = {}  # token states of the last queries: their reranking needs no second forward
        self._keeping = Lock()
        self.forwards = 0  # forward passes so far, for tests and reports

    @property
    def spec(self) -> EmbedderSpec:
        """What its vectors mean."""
        return self._spec

    @property
    def precision(self) -> Precision:
        """Precision of its matrix products."""
        return self._replicas[0].where.precision

    @property
    def tokens(self) -> "HfTokenSpans":
        """The model's own tokenizer."""
        return self._tokens

    @property
    def width(self) -> int:
        """Length of a token's state."""
        return int(self._replicas[0].model.config.hidden_size)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row per query, with the model's query instruction and format; shape (len(texts), dim).

        Raises:
            ModelError: If memory runs out for one text alone, or a vector is not finite.
        """
        head, tail = self._spec.query_format.split("{query}", 1)
        if len(texts) > _QUERIES_KEPT:
            return self._embed([head + text + tail for text in texts], None)
        return self._embed(
            [head + text + tail for text in texts],
            None,
            _Own(len(head), len(tail), lambda row, states: self._keep(texts[row], states)),
        )

    def query_tokens(self, text: str) -> TokenVectors:
        """Return the states of a query's tokens, shape (n_tokens, width). Raises as `embed_queries`."""
        kept = self._kept.get(text)
        if kept is None:
            self.embed_queries([text])
            kept = self._kept[text]
        return kept

    def _keep(self, text: str, states: TokenVectors) -> None:
        with self._keeping:
            self._kept[text] = states
            while len(self._kept) > _QUERIES_KEPT:
                self._kept.pop(next(iter(self._kept)))

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Return one unit row per passage, shape (len(texts), dim). Raises as `embed_queries`."""
        head, tail = self._spec.document_format.split("{text}", 1)
        return self._embed([head + text + tail for text in texts], progress)

    def embed_documents_and_tokens(
        self, texts: Sequence[str], tokens: TokenSink, *, progress: Progress | None = None
    ) -> Vectors:
        """Return what `embed_documents` returns, and hand the states of each distinct text's tokens to `tokens`."""
        head, tail = self._spec.document_format.split("{text}", 1)
        return self._embed([head + text + tail for text in texts], progress, _Own(len(head), len(tail), tokens))

    def state_spans(self, text: str, *, query: bool) -> Spans:
        """Return the character ranges in `text` of the tokens that have states, shape (n_tokens, 2)."""
        shape, name = (self._spec.query_format, "{query}") if query else (self._spec.document_format, "{text}")
        head, tail = shape.split(name, 1)
        clean = (head + text + tail).encode("utf-8", "replace").decode("utf-8")
        encoding = self._whole(self._tokenizer.encode(clean, add_special_tokens=False))
        own = _Own(len(head), len(tail), lambda _number, _states: None).positions(encoding, len(clean))
        spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)[own] - len(head)
        return np.clip(spans, 0, len(text))

    def _embed(self, texts: list[str], progress: Progress | None, own: "_Own | None" = None) -> Vectors:
        out = np.empty((len(texts), self._spec.dim), dtype=np.float32)
        for first in range(0, len(texts), _WINDOW):
            window = texts[first : first + _WINDOW]
            rows: dict[str, int] = {}
            numbers = [rows.setdefault(text, len(rows)) for text in window]  # equal texts are encoded once
            firsts = [0] * len(rows)
            for position, number in reversed(list(enumerate(numbers))):
                firsts[number] = position
            unique = np.empty((len(rows), self._spec.dim), dtype=np.float32)
            share = len(window) / max(1, len(rows))
            done = 0.0
            for batch, (vectors, states) in self._encoded(list(rows), own):
                unique[batch] = vectors
                if own is not None:
                    for row, state in zip(batch, states, strict=True):
                        own.sink(first + firsts[row], state)
                if progress is not None:
                    progress(int(done + len(batch) * share) - int(done))
                done += len(batch) * share
            out[first : first + len(window)] = unique[numbers]
        if not np.isfinite(out).all():
            row = int(np.flatnonzero(~np.isfinite(out).all(axis=1))[0])
            raise ModelError(
                "models.not_finite",
                "the vector of text {row} is not finite: the model's weights or precision are broken",
                do="Copy or download the model again, or use --device cpu:float32",
                row=row,
            )
        return out

    def _encoded(self, texts: list[str], own: "_Own | None") -> Iterator[tuple[list[int], _Forward]]:
        longest = self._spec.max_tokens * _CHARS_PER_TOKEN
        clean = [text[:longest].encode("utf-8", "replace").decode("utf-8") for text in texts]
        encode = self._tokenizer.encode_batch_fast if own is None else self._tokenizer.encode_batch  # fast: no offsets
        ids: list[list[int]] = []
        mine: list[NDArray[np.int64]] = []
        for encoding, text in zip(encode(clean, add_special_tokens=False), clean, strict=True):
            whole = self._whole(encoding)
            ids.append(whole.ids)
            if own is not None:
                mine.append(own.positions(whole, len(text)))
        lengths = [len(row) for row in ids]
        batches = self._budget.batches(lengths)

        def forward(replica: Replica, rows: list[int]) -> _Forward:
            return self._forward(replica, [ids[row] for row in rows], [mine[row] for row in rows] if own else [])

        def run(replica: Replica, batch: list[int]) -> Iterator[tuple[list[int], _Forward]]:
            return self._budget.run(batch, lengths, lambda rows: forward(replica, rows))

        if len(self._replicas) == 1 or len(batches) == 1:
            for batch in batches:
                yield from run(self._replicas[0], batch)
            return
        with ThreadPoolExecutor(len(self._replicas)) as pool:
            tasks = [
                pool.submit(lambda r, b: list(run(r, b)), self._replicas[number % len(self._replicas)], batch)
                for number, batch in enumerate(batches)
            ]
            for task in tasks:
                yield from task.result()

    def _whole(self, encoding: Any) -> Any:
        """Cut to the model's length and add the special tokens."""
        encoding.truncate(self._room)
        return self._tokenizer.post_process(encoding, None, True)

    def _forward(self, replica: Replica, rows: list[list[int]], own: list[NDArray[np.int64]]) -> _Forward:
        """Pad some rows of token ids and run them at once."""
        import torch

        self.forwards += 1
        longest = max(1, *(len(ids) for ids in rows))
        padded = torch.full((len(rows), longest), self._pad, dtype=torch.long)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for line, ids in enumerate(rows):
            padded[line, : len(ids)] = torch.tensor(ids, dtype=torch.long)
            mask[line, : max(1, len(ids))] = 1
        return replica.forward_with_states(padded, mask, self._spec, own)
