"""The second stage that needs no model of its own: late interaction over token states of the embedding model.

Every token of the query looks for the token of the passage that is nearest to it; the mean of these cosines is the passage's MaxSim
(ColBERT, Khattab and Zaharia, SIGIR 2020, without its training). It is added to the first stage's score, both as z-scores over the
candidates of the query:

    score = z(first stage) + weight * z(MaxSim)
    weight = 1.5 * (1 - min(1, shared / 0.15))

`shared` is the share of candidates that BM25 found too, by words of the query. Across languages there are none, and there MaxSim
orders much better than one vector per passage does. Where words are shared it gains on some collections what it loses on others
(docs/second_stage.md), so the first stage's order stands.

A model that has heads of its own for this (bge-m3) was trained for it, so there it always acts, with the model's own sum:

    score = z(first stage) + z(dense + 0.3 * sparse + multi-vector)          `quarry.retriever.rerankers.m3`

A second stage that was tuned for the index adds the MaxSim of changed query vectors to either (`quarry.retriever.rerankers.token_map`).

The states of passages were stored when the passages were encoded (`quarry.indexer.tokens`), those of the query come out of the
forward pass that made its vector: 50 candidates cost a few milliseconds, where a cross-encoder costs seconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Embedder, HeadedEmbedder, TokenEmbedder, heads_of
from quarry.indexer.errors import ModelError
from quarry.indexer.joined.ids import apart
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.stores.base import VectorStore
from quarry.indexer.stores.blas import one_thread
from quarry.indexer.stores.lake.view import address_of
from quarry.indexer.tokens.projection import TokenBytes, unit_rows
from quarry.retriever.ranking import Hit
from quarry.retriever.rerankers.alignment import Meeting, meetings
from quarry.retriever.rerankers.m3 import M3Score
from quarry.retriever.rerankers.stored_states import OpenedStates, StoredStates
from quarry.retriever.rerankers.token_map import TokenMap

MAXSIM_WEIGHT = 1.5  # of z(MaxSim) beside z(first stage) where no candidate shares a word with the query
SHARED_WORDS = 0.15  # share of candidates with words of the query from which on the first stage's order stands


@dataclass(frozen=True, slots=True)
class Compared:
    """A query and its candidates as the second stage sees them.

    Attributes:
        asked: The query's token vectors, unit rows, shape (n_tokens, dim).
        states: Stored token vectors of each candidate, each of shape (n, dim).
        plain: Scores without a tuned map, shape (n_candidates,).
    """

    asked: NDArray[np.float32]
    states: Sequence[TokenBytes]
    plain: NDArray[np.float32]

    def scores(self, tuned: TokenMap | None) -> NDArray[np.float32]:
        """Return the scores, shape (n_candidates,)."""
        return self.plain if tuned is None else self.plain + np.float32(tuned.gain) * self.tuned_part(tuned)

    def tuned_part(self, tuned: TokenMap) -> NDArray[np.float32]:
        """Return z(MaxSim of the changed query), shape (n_candidates,); the gain does not matter."""
        return z_scores(maxsims(tuned(self.asked), self.states))


class LateInteraction:
    """A CandidateReranker on stored token states. Safe to share between threads."""

    def __init__(self, stored: Mapping[str, StoredStates], embedder: Callable[[], Embedder]) -> None:
        """Say where the states are; nothing is opened before the first query.

        Args:
            stored: Of the index, under an empty name; of each of several that are searched as one, under its name.
            embedder: Returns the index's embedder.
        """
        self._stored, self._embedder = dict(stored), embedder
        self._first = next(iter(self._stored.values()))
        self._lock = Lock()
        self._store: VectorStore | None = None
        self._map: TokenMap | Path | None = None  # a folder is read at the first query

    @classmethod
    def of(cls, index: Index, embedder: Callable[[], Embedder], *, tuned: TokenMap | None = None) -> Self | None:
        """Return the late interaction of an index, with `tuned` or the map that the index records.

        Returns:
            None when the index was built without token states.
        """
        facts, recorded = index.manifest.embedder, index.manifest.second_stage
        if facts is None or not index.manifest.token_states:
            return None
        model = facts.to_spec().model
        stored = {
            name: StoredStates(
                part.root, part.chunks, facts.fingerprint, model, lake=part.folder if address_of(part.root) else None
            )
            for name, part in index.parts.items()
        }
        found = cls(stored, embedder)
        found._store = index.vectors
        found._map = tuned or (index.root / recorded.folder if recorded else None)
        return found

    @property
    def name(self) -> str:
        """The model whose tokens meet."""
        return f"{self._first.model}, token by token"

    def rerank(self, query: str, candidates: Sequence[Hit]) -> NDArray[np.float32] | Message:
        """Return the scores of candidates, shape (len(candidates),), or why the order is left as it is.

        Raises:
            IndexFormatError: If token states are missing or damaged, or another model's.
            ModelError: If the embedder gives no token states, or the tuned map cannot be read.
        """
        embedder, weight = self._tokens(), token_weight(candidates)
        if self._map is None and not heads_of(embedder) and weight <= 0:
            return Message.of("rerankers.words_shared", "left as it is: the candidates share words with the query")
        if self._map is None:
            return self._plain(
                query, candidates, lambda: self.similarities(query, [hit.chunk_id for hit in candidates])
            )
        compared = self.compared(query, candidates)
        with one_thread():
            return compared.scores(self._tuned(self._first.opened(embedder)))

    def compared(self, query: str, candidates: Sequence[Hit]) -> Compared:
        """Return what the second stage sees of a query and its candidates, in one index. Raises as `rerank`."""
        embedder = self._tokens()
        opened, states = self._first.opened(embedder), self._first.of([hit.chunk_id for hit in candidates])
        with one_thread():
            asked = opened.projection.project(embedder.query_tokens(query))
            plain = self._plain(query, candidates, lambda: _similarities(asked, states))
        return Compared(asked, states, plain)

    def _plain(
        self, query: str, candidates: Sequence[Hit], similarities: Callable[[], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The scores without a tuned map, shape (len(candidates),)."""
        plain, weight = (
            z_scores(np.array([hit.score for hit in candidates], dtype=np.float32)),
            token_weight(candidates),
        )
        if self.has_heads():
            totals = [one.total for one in self.m3_scores(query, [hit.chunk_id for hit in candidates])]
            return plain + z_scores(np.array(totals, dtype=np.float32))
        return plain + weight * z_scores(similarities()) if weight > 0 else plain

    def _tuned(self, opened: OpenedStates) -> TokenMap | None:
        with self._lock:
            if isinstance(self._map, Path):
                self._map = TokenMap.load(self._map, opened.projection.dim)
            return self._map

    def has_heads(self) -> bool:
        """Whether the model has heads of its own, which were trained for this. Raises as `rerank`."""
        return bool(heads_of(self._tokens()))

    def similarities(self, query: str, chunk_ids: Sequence[str]) -> NDArray[np.float32]:
        """Return the MaxSim of passages with a query, shape (len(chunk_ids),). Raises as `rerank`."""
        embedder = self._tokens()
        return self._similarities_of(embedder, embedder.query_tokens(query), chunk_ids)

    def _similarities_of(
        self, embedder: Embedder, tokens: NDArray[np.float32], chunk_ids: Sequence[str]
    ) -> NDArray[np.float32]:
        found = np.empty(len(chunk_ids), dtype=np.float32)
        for stored, rows, own in self._by_index(chunk_ids):
            projection, states = stored.opened(embedder).projection, stored.of(own)
            with one_thread():
                found[rows] = _similarities(projection.project(tokens), states)
        return found

    def m3_scores(self, query: str, chunk_ids: Sequence[str]) -> list[M3Score]:
        """Return dense, sparse and multi-vector similarity of passages; none for a model without heads. Raises as `rerank`."""
        embedder = self._embedder()
        if not isinstance(embedder, HeadedEmbedder) or not embedder.heads:
            return []
        parts, sparse = embedder.query_parts(query), np.empty(len(chunk_ids))
        multi = self._similarities_of(embedder, parts.tokens, chunk_ids)
        for stored, rows, own in self._by_index(chunk_ids):
            sparse[rows] = [parts.terms.dot(one) for one in stored.terms_of(embedder, own)]
        dense = self._store.similarities(parts.vector, chunk_ids) if self._store else []
        return [M3Score(float(d), s, m) for d, s, m in zip(dense, sparse.tolist(), multi.tolist(), strict=True)]

    def meetings(self, query: str, chunk_id: str) -> tuple[Meeting, ...]:
        """Return which word of the query met which word of a passage; empty when the two share no tokens. Raises as `rerank`."""
        embedder = self._embedder()
        if not isinstance(embedder, TokenEmbedder):
            return ()
        ((stored, _, own),) = self._by_index([chunk_id])
        asked = stored.opened(embedder).projection.project(embedder.query_tokens(query))
        (states,), (passage,) = stored.of(own), stored.texts(own)
        ours, theirs = embedder.state_spans(query, query=True), embedder.state_spans(passage, query=False)
        if (len(ours), len(theirs)) != (len(asked), len(states)):
            return ()
        # the end of a text is a token without a word, which a model's own head compares, too
        asked, states = asked[ours[:, 1] > ours[:, 0]], states[theirs[:, 1] > theirs[:, 0]]
        ours, theirs = ours[ours[:, 1] > ours[:, 0]], theirs[theirs[:, 1] > theirs[:, 0]]
        return meetings(query, ours, passage, theirs, asked @ unit_rows(states).T)

    def _tokens(self) -> TokenEmbedder:
        embedder = self._embedder()
        if not isinstance(embedder, TokenEmbedder):
            raise ModelError(
                "rerankers.no_tokens",
                "{model} gives no token states",
                expected="an embedder that does",
                do="Search with --rerank none",
                model=self._first.model,
            )
        return embedder

    def _by_index(self, chunk_ids: Sequence[str]) -> Iterator[tuple[StoredStates, list[int], list[str]]]:
        """Yield the states of each index that has some of the passages, with their places in the list and their ids there."""
        if len(self._stored) == 1 and "" in self._stored:
            yield self._first, list(range(len(chunk_ids))), list(chunk_ids)
            return
        places: dict[str, list[int]] = {}
        for place, chunk_id in enumerate(chunk_ids):
            places.setdefault(apart(chunk_id)[0], []).append(place)
        for name, rows in places.items():
            yield self._stored[name], rows, [apart(chunk_ids[row])[1] for row in rows]


def _similarities(asked: NDArray[np.float32], states: Sequence[TokenBytes]) -> NDArray[np.float32]:
    return np.array([maxsim(asked, one) for one in states], dtype=np.float32)


def token_weight(candidates: Sequence[Hit]) -> float:
    """Return the weight of z(MaxSim), in [0, MAXSIM_WEIGHT]: the fewer candidates share words with the query, the more."""
    shared = sum(bool(hit.evidence.terms) for hit in candidates) / max(1, len(candidates))
    return MAXSIM_WEIGHT * (1 - min(1.0, shared / SHARED_WORDS))


def maxsim(query: NDArray[np.float32], passage: TokenBytes) -> float:
    """Return the mean over the query's tokens of the best cosine with a token of the passage.

    Args:
        query: Unit rows, shape (n_query_tokens, dim).
        passage: As stored, shape (n_passage_tokens, dim).

    Returns:
        A number in [-1, 1]; -1 when one of the two has no tokens.

    Example:
        >>> import numpy as np
        >>> query = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
        >>> round(maxsim(query, np.array([[127, 0], [127, 127]], dtype=np.int8)), 4)
        0.8536
    """
    if not len(query) or not len(passage):
        return -1.0
    cosines = query @ unit_rows(passage).T  # (n_query_tokens, n_passage_tokens)
    return float(cosines.max(axis=1).mean())


def maxsims(query: NDArray[np.float32], passages: Sequence[TokenBytes]) -> NDArray[np.float32]:
    """Return `maxsim` of many passages in one multiplication, shape (n_passages,).

    Args:
        query: Unit rows, shape (n_query_tokens, dim).
        passages: As stored, each of shape (n_passage_tokens, dim).
    """
    found = np.full(len(passages), -1.0, dtype=np.float32)
    filled = [place for place, one in enumerate(passages) if len(one)]
    if not len(query) or not filled:
        return found
    starts = np.cumsum([0, *(len(passages[place]) for place in filled[:-1])])
    cosines = query @ unit_rows(np.concatenate([passages[place] for place in filled])).T
    found[filled] = np.maximum.reduceat(cosines, starts, axis=1).mean(axis=0)
    return found


def z_scores(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values minus their mean over their standard deviation; zeros when they are equal.

    Example:
        >>> import numpy as np
        >>> z_scores(np.array([1.0, 3.0], dtype=np.float32)).tolist()
        [-1.0, 1.0]
    """
    spread = float(values.std())
    found: NDArray[np.float32] = (values - values.mean()) / spread if spread > 1e-9 else np.zeros_like(values)
    return found
