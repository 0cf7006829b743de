"""What a model made of the last questions, so that looking at their tokens, or asking them again, needs no second forward pass."""

from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import TermWeights, TokenVectors


class TextParts(NamedTuple):
    """What one forward pass gives for a text: its vector, the states of its tokens, and their weights where there are heads."""

    vector: NDArray[np.float32]
    tokens: TokenVectors
    terms: TermWeights | None


class KeptQuestions:
    """The last questions. Safe to share between threads.

    Attributes:
        most: How many at most.
        asked_again: Whether a question that is asked again is answered from here; if not, only its tokens are.
    """

    def __init__(self, most: int, most_bytes: int, *, asked_again: bool = False) -> None:
        """Take the limits; `most_bytes` is of all states, and the last question is kept whatever its length."""
        self.most, self.asked_again = most, asked_again
        self._most_bytes, self._bytes = most_bytes, 0
        self._parts: dict[str, TextParts] = {}
        self._lock = Lock()

    def get(self, text: str) -> TextParts | None:
        """Return what is kept of a question."""
        return self._parts.get(text)

    def keep(self, text: str, parts: TextParts) -> None:
        """Keep a question, and drop the oldest ones where there is no more room."""
        with self._lock:
            self._drop(text)
            self._parts[text] = parts
            self._bytes += parts.tokens.nbytes
            while len(self._parts) > 1 and (len(self._parts) > self.most or self._bytes > self._most_bytes):
                self._drop(next(iter(self._parts)))

    def _drop(self, text: str) -> None:
        if (before := self._parts.pop(text, None)) is not None:
            self._bytes -= before.tokens.nbytes
