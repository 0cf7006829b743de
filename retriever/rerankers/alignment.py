"""Why late interaction likes a passage: which word of the query met which word of the passage.

Pure functions on token states and character ranges. Tokens are pieces of words, so each is widened to the word around it; a
Chinese token stands for itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Spans

_LATIN_WORD = re.compile(
    r"[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+(?:['’_.-][^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+)*"
)


@dataclass(frozen=True, slots=True)
class Meeting:
    """A word of the query and the word of the passage that came nearest to it.

    Attributes:
        query: The query's word.
        passage: The passage's word.
        cosine: Of their centered and projected states, in [-1, 1].
    """

    query: str
    passage: str
    cosine: float


def meetings(
    query: str, query_spans: Spans, passage: str, passage_spans: Spans, cosines: NDArray[np.float32]
) -> tuple[Meeting, ...]:
    """Return for each word of the query its nearest word of the passage, in the query's order.

    Args:
        query: The query.
        query_spans: Character ranges of its tokens, shape (n_query_tokens, 2).
        passage: The passage as it was encoded.
        passage_spans: Character ranges of its tokens, shape (n_passage_tokens, 2).
        cosines: Shape (n_query_tokens, n_passage_tokens).

    Returns:
        One meeting per word that has a letter or digit; a word of several tokens is represented by its best one. Empty when the
        shapes disagree, as they do for states that another tokenizer made.
    """
    if not cosines.size or cosines.shape != (len(query_spans), len(passage_spans)):
        return ()
    theirs, ours = _words(passage, passage_spans), _words(query, query_spans)
    best: dict[tuple[int, int], Meeting] = {}
    nearest = cosines.argmax(axis=1)
    for token, column in enumerate(nearest):
        span, value = ours[token], float(cosines[token, column])
        word, met = query[slice(*span)], passage[slice(*theirs[column])]
        if any(letter.isalnum() for letter in word) and (span not in best or best[span].cosine < value):
            best[span] = Meeting(word, met, value)
    return tuple(best[span] for span in sorted(best))


def _words(text: str, spans: Spans) -> Sequence[tuple[int, int]]:
    """Return the range of the word around each token."""
    whole = np.array([match.span() for match in _LATIN_WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)
    found = []
    for start, end in _stripped(text, spans):
        at = int(np.searchsorted(whole[:, 0], start, side="right")) - 1
        inside = at >= 0 and start < whole[at, 1]
        found.append((int(whole[at, 0]), int(max(end, whole[at, 1]))) if inside else (start, end))
    return found


def _stripped(text: str, spans: Spans) -> list[tuple[int, int]]:
    """Return the ranges without the blanks that tokenizers put before a word."""
    found = []
    for start, end in spans.tolist():
        piece = text[start:end]
        found.append((start + len(piece) - len(piece.lstrip()), end))
    return found
