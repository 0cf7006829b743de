"""Texts as the token ids that a model takes: cut to its length, its special tokens added, and which tokens are the text's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.models.token_spans import CHARS_PER_TOKEN, encodable


@dataclass(frozen=True, slots=True)
class Frame:
    r"""What a model's format puts around a query: examples and an instruction before it, perhaps a mark after it.

    Attributes:
        head: Before the query.
        tail: After it, such as `\n<response>`.
    """

    head: str
    tail: str

    @classmethod
    def of(cls, template: str, slot: str) -> "Frame":
        """Take a format apart at its slot, `{query}` or `{text}`."""
        head, _, tail = template.partition(slot)
        return cls(head, tail)

    def around(self, query: str, longest: int) -> str:
        """Return a query in its format, its own text cut to `longest` characters."""
        return self.head + query[:longest] + self.tail

    def fit(self, text: str, encoding: Any, room: int, encode: Callable[[str], Any]) -> "Fitted":
        """Shorten a formatted query until it has at most `room` tokens; the tail and the end of the head always stay.

        The query loses its end. Where the head alone leaves it less than a quarter of the room, the head loses its beginning: the
        first of the examples. A model that reads its vector at the tail (bge-en-icl) gives another one without it; FlagEmbedding's
        reference keeps the tail too.

        Args:
            text: The query in its format.
            encoding: Its tokens, without special ones.
            room: Tokens, special ones left out.
            encode: The tokenizer, which adds no special tokens.
        """
        head = len(self.head)
        if len(encoding.ids) > room:
            encoding = encode(text)  # a batch may have been encoded without offsets
        while len(encoding.ids) > room and len(text) > len(self.tail):
            spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
            end = len(text) - len(self.tail)
            before, after = int((spans[:, 1] <= head).sum()), int((spans[:, 1] > end).sum())
            query = len(spans) - before - after
            kept = min(query, max(room - after - before, (room - after) // 4, 0))
            cut = int(spans[before + kept, 0]) if kept < query else end
            first = int(spans[min(before, max(0, before + kept + after - room)), 0]) if before else 0
            shorter = text[first : min(cut, end)] + self.tail
            text = shorter if len(shorter) < len(text) else text[1:]
            head = max(0, head - first)
            encoding = encode(text)
        encoding.truncate(room)
        return Fitted(encoding, len(text))


@dataclass(frozen=True, slots=True)
class Fitted:
    """Tokens that fit into a model, and of how many characters they are."""

    encoding: Any
    length: int


@dataclass(frozen=True, slots=True)
class OwnTokens:
    """Which tokens of a formatted text have states.

    Attributes:
        head: Characters of the format before the text.
        tail: Characters of the format after it.
        all_but_first: Whether all of them have, the first one excepted, as for bge-m3's own head; else the text's own ones.
    """

    head: int
    tail: int
    all_but_first: bool = False

    def positions(self, encoding: Any, length: int) -> NDArray[np.int64]:
        """Return the positions in an encoding of `length` characters of the text's own tokens, special tokens left out.

        With `all_but_first`, of all of its tokens but the first.
        """
        if self.all_but_first:
            return np.arange(1, len(encoding.ids))
        spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        # a token may begin with the blank before it, which is the format's
        inside = (spans[:, 1] > self.head) & (spans[:, 0] < length - self.tail) & (spans[:, 1] > spans[:, 0])
        return np.flatnonzero(inside & (np.array(encoding.special_tokens_mask) == 0))


class Fitter:
    """Fits texts to a model."""

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._longest = max_tokens * CHARS_PER_TOKEN
        self._room = max_tokens - tokenizer.num_special_tokens_to_add(False)

    def framed(self, texts: Sequence[str], frame: Frame) -> list[str]:
        """Return queries in their format, cut to what could fit."""
        return [frame.around(text, self._longest) for text in texts]

    def fit_all(
        self, texts: Sequence[str], own: OwnTokens | None, frame: Frame | None
    ) -> tuple[list[list[int]], list[NDArray[np.int64]]]:
        """Return the token ids of each text, and the positions of its own tokens where these are asked for.

        Args:
            texts: In their format.
            own: Which tokens are the text's own; None when nobody asks.
            frame: The format of a query, which keeps its place when the query is cut; None for passages.
        """
        longest = self._longest + (len(frame.head) + len(frame.tail) if frame else 0)
        clean = [encodable(text[:longest]) for text in texts]
        encode = self._tokenizer.encode_batch_fast if own is None else self._tokenizer.encode_batch  # fast: no offsets
        ids: list[list[int]] = []
        mine: list[NDArray[np.int64]] = []
        for encoding, text in zip(encode(clean, add_special_tokens=False), clean, strict=True):
            whole = self._whole(text, encoding, frame)
            ids.append(whole.encoding.ids)
            if own is not None:
                mine.append(own.positions(whole.encoding, whole.length))
        return ids, mine

    def fit(self, text: str, frame: Frame | None) -> Fitted:
        """Return the tokens of one text."""
        clean = encodable(text)
        return self._whole(clean, self._encode(clean), frame)

    def _whole(self, text: str, encoding: Any, frame: Frame | None) -> Fitted:
        """Cut to the model's length, within the query where there is a format around it, and add the special tokens."""
        if frame is None or len(encoding.ids) <= self._room:
            encoding.truncate(self._room)
            fitted = Fitted(encoding, len(text))
        else:
            fitted = frame.fit(text, encoding, self._room, self._encode)
        return Fitted(self._tokenizer.post_process(fitted.encoding, None, True), fitted.length)

    def _encode(self, text: str) -> Any:
        return self._tokenizer.encode(text, add_special_tokens=False)
