"""The Embedder that Quarry runs on: a tokenizer, and one replica of a model per device.

texts -> format -> tokens (once, in Rust) -> batches by token budget, longest first -> one forward each -> pooling ->
one preallocated float32 array. One query is one forward. When memory runs out, the budget is halved.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import (
    EmbedderSpec,
    Progress,
    QueryParts,
    Spans,
    TokenSink,
    TokenVectors,
    Vectors,
    WeightSink,
)
from quarry.indexer.errors import ModelError
from quarry.indexer.messages import Message
from quarry.indexer.models.batching import TokenBudget
from quarry.indexer.models.fitting import Fitter, Frame, OwnTokens
from quarry.indexer.models.forward.precision import Precision
from quarry.indexer.models.forward.replica import Encoded, Replica
from quarry.indexer.models.kept_questions import KeptQuestions, TextParts
from quarry.indexer.models.token_spans import HfTokenSpans
from quarry.indexer.models.tokenizer import ModelTokenizer

_WINDOW = 8192  # texts tokenized and sorted together: bounds the memory for tokens
# padded tokens per forward: on a CPU few texts of similar length, so that 96 % of a sorted slice of 512 are real tokens
_BUDGET_CPU = 2048
_BUDGET_GPU = 131_072
_QUERIES_KEPT = 16  # queries whose token states are kept; more at once are an evaluation, and are not
_BYTES_KEPT = 256 * 1024**2  # of their token states


def _too_long(tokens: int) -> ModelError:
    return ModelError(
        "models.out_of_memory",
        "memory ran out for one text of {tokens:token|tokens}",
        do="Use shorter passages (--chunk-tokens), a smaller model, or --device cpu",
        tokens=tokens,
    )


def _no_heads(model: str) -> ValueError:
    return ValueError(f"{model} has no heads of its own; expected a model whose `heads` is not empty")


class _Wanted(NamedTuple):
    """Which tokens' states are wanted, and who receives them, with the text's number."""

    own: OwnTokens
    sink: Callable[[int, TextParts], None]


class TransformerEmbedder:
    """An Embedder on torch. Safe to use from several threads."""

    def __init__(
        self,
        spec: EmbedderSpec,
        tokenizer: ModelTokenizer,
        replicas: list[Replica],
        *,
        token_budget: int | None = None,
        fallback: Message | None = None,
    ) -> None:
        """Take the loaded parts.

        Args:
            spec: What its vectors mean.
            tokenizer: The model's.
            replicas: One per device.
            token_budget: Padded tokens per forward; None chooses by device.
            fallback: Why transformers computes the model, None when our own forward pass does.
        """
        self.fallback = fallback
        self._spec = spec
        self._replicas = replicas
        gpu = replicas[0].where.device.startswith("cuda")
        tokens = token_budget or (_BUDGET_GPU if gpu else _BUDGET_CPU)
        self._budget = TokenBudget(tokens, _too_long)
        self._pad = tokenizer.padding
        self._tokenizer = tokenizer.backend_tokenizer  # one, and never changed: each takes 100 MB with 128,000 tokens
        self._fitter = Fitter(self._tokenizer, spec.max_tokens)
        self._tokens = HfTokenSpans(self._tokenizer, spec.model)
        heads = replicas[0].heads
        self._heads = heads.digest if heads else ""
        self._kept = KeptQuestions(_QUERIES_KEPT, _BYTES_KEPT)  # their reranking needs no second forward
        self.forwards = 0  # forward passes so far, for tests and reports

    @property
    def spec(self) -> EmbedderSpec:
        """What its vectors mean."""
        return self._spec

    def asking(self, query_format: str) -> "TransformerEmbedder":
        """Return the same model with another format of queries; the weights are shared."""
        other = copy(self)
        vars(other).update(
            _spec=replace(self._spec, query_format=query_format), _kept=KeptQuestions(_QUERIES_KEPT, _BYTES_KEPT)
        )
        return other

    def remembering(self, questions: int) -> "TransformerEmbedder":
        """Return the same model, which encodes each of the last so many questions once; the weights are shared."""
        other = copy(self)
        vars(other).update(_kept=KeptQuestions(questions, _BYTES_KEPT, asked_again=True))
        return other

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
        """Length of a token's states side by side, or of what the model's own head makes of the last one."""
        return self._replicas[0].token_width

    @property
    def heads(self) -> str:
        """Digest of the model's own heads for single tokens; empty when it has none."""
        return self._heads

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row per query, with the model's query instruction and format; shape (len(texts), dim).

        Raises:
            ModelError: If memory runs out for one text alone, or a vector is not finite.
        """
        if not self._kept.asked_again:
            return self._embed_queries(texts)
        known = {text: parts.vector for text in texts if (parts := self._kept.get(text)) is not None}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known |= zip(new, self._embed_queries(new), strict=True)
        return np.array([known[text] for text in texts], dtype=np.float32).reshape(len(texts), self._spec.dim)

    def _embed_queries(self, texts: Sequence[str]) -> Vectors:
        frame = Frame.of(self._spec.query_format, "{query}")
        asked = self._fitter.framed(texts, frame)
        if len(texts) > self._kept.most:
            return self._embed(asked, None, frame=frame)
        own = self._own(frame.head, frame.tail)
        return self._embed(asked, None, _Wanted(own, lambda row, parts: self._kept.keep(texts[row], parts)), frame)

    def query_tokens(self, text: str) -> TokenVectors:
        """Return the states of a query's tokens, shape (n_tokens, width). Raises as `embed_queries`."""
        return self._parts(text).tokens

    def query_parts(self, text: str) -> QueryParts:
        """Return everything of a query.

        Raises:
            ValueError: If the model has no heads of its own.
            ModelError: As `embed_queries`.
        """
        parts = self._parts(text)
        if parts.terms is None:
            raise _no_heads(self._spec.model)
        return QueryParts(parts.vector, parts.tokens, parts.terms)

    def _parts(self, text: str) -> TextParts:
        kept = self._kept.get(text)
        if kept is None:
            self._embed_queries([text])
            kept = self._kept.get(text)
        if kept is None:  # so many others were asked meanwhile
            return self._parts(text)
        return kept

    def _own(self, head: str, tail: str) -> OwnTokens:
        return OwnTokens(len(head), len(tail), all_but_first=bool(self._heads))

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Return one unit row per passage, shape (len(texts), dim). Raises as `embed_queries`."""
        head, tail = self._spec.document_format.split("{text}", 1)
        return self._embed([head + text + tail for text in texts], progress)

    def embed_documents_and_tokens(
        self, texts: Sequence[str], tokens: TokenSink, *, progress: Progress | None = None
    ) -> Vectors:
        """Return what `embed_documents` returns, and hand the states of each distinct text's tokens to `tokens`."""
        head, tail = self._spec.document_format.split("{text}", 1)
        wanted = _Wanted(self._own(head, tail), lambda row, parts: tokens(row, parts.tokens))
        return self._embed([head + text + tail for text in texts], progress, wanted)

    def embed_documents_and_parts(
        self, texts: Sequence[str], tokens: TokenSink, terms: WeightSink, *, progress: Progress | None = None
    ) -> Vectors:
        """Return what `embed_documents` returns, and hand out what the model's own heads make of each distinct text.

        Raises:
            ValueError: If the model has no heads of its own.
            ModelError: As `embed_queries`.
        """
        if not self._heads:
            raise _no_heads(self._spec.model)
        head, tail = self._spec.document_format.split("{text}", 1)

        def sink(row: int, parts: TextParts) -> None:
            tokens(row, parts.tokens)
            if parts.terms is not None:
                terms(row, parts.terms)

        return self._embed([head + text + tail for text in texts], progress, _Wanted(self._own(head, tail), sink))

    def state_spans(self, text: str, *, query: bool) -> Spans:
        """Return the character ranges in `text` of the tokens that have states, shape (n_tokens, 2)."""
        shape, name = (self._spec.query_format, "{query}") if query else (self._spec.document_format, "{text}")
        head, tail = shape.split(name, 1)
        fitted = self._fitter.fit(head + text + tail, Frame(head, tail) if query else None)
        own = self._own(head, tail).positions(fitted.encoding, fitted.length)
        spans = np.array(fitted.encoding.offsets, dtype=np.int64).reshape(-1, 2)[own] - len(head)
        return np.clip(spans, 0, len(text))

    def _embed(
        self, texts: list[str], progress: Progress | None, wanted: _Wanted | None = None, frame: Frame | None = None
    ) -> Vectors:
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
            for batch, found in self._encoded(list(rows), wanted.own if wanted else None, frame):
                unique[batch] = found.vectors
                if wanted is not None:
                    for place, row in enumerate(batch):
                        terms = found.terms[place] if found.terms else None
                        wanted.sink(first + firsts[row], TextParts(found.vectors[place], found.states[place], terms))
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

    def _encoded(
        self, texts: list[str], own: OwnTokens | None, frame: Frame | None
    ) -> Iterator[tuple[list[int], Encoded]]:
        ids, mine = self._fitter.fit_all(texts, own, frame)
        lengths = [len(row) for row in ids]
        batches = self._budget.batches(lengths)

        def forward(replica: Replica, rows: list[int]) -> Encoded:
            return self._forward(replica, [ids[row] for row in rows], [mine[row] for row in rows] if own else [])

        def run(replica: Replica, batch: list[int]) -> Iterator[tuple[list[int], Encoded]]:
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

    def _forward(self, replica: Replica, rows: list[list[int]], own: list[NDArray[np.int64]]) -> Encoded:
        """Run some rows of token ids at once. A text without tokens is one padding token."""
        self.forwards += 1
        return replica.forward_with_states([ids or [self._pad] for ids in rows], self._spec, own)
