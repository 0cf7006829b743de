"""Tokens as character ranges, the unit in which passages are measured: a model's own, or by script where there is no model."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Spans

_SPAN_SLICE = 200_000  # characters tokenized at once


class HfTokenSpans:
    """The tokens of a model's own tokenizer, which neither truncates nor pads, as character ranges."""

    def __init__(self, tokenizer: Any, model: str) -> None:
        self._tokenizer = tokenizer
        self._model = model

    @cached_property
    def name(self) -> str:
        """Identity of the tokenizer: model and digest."""
        return f"{self._model}/{sha256(self.as_json().encode()).hexdigest()[:12]}"

    @property
    def tokenizer(self) -> Any:
        """The tokenizer itself, a `tokenizers.Tokenizer`."""
        return self._tokenizer

    def as_json(self) -> str:
        """Return the tokenizer, so that another process can use it."""
        return str(self._tokenizer.to_str())

    @classmethod
    def from_json(cls, text: str) -> "HfTokenSpans":
        """Return the tokenizer that `as_json` gave, for its spans."""
        from tokenizers import Tokenizer

        return cls(Tokenizer.from_str(text), "")

    def spans(self, text: str) -> Spans:
        """Return the tokens of `text`, special tokens left out, shape (n_tokens, 2).

        A long text is tokenized in slices, cut at white space where there is some.
        """
        parts: list[Spans] = []
        start = 0
        while start < len(text):
            end = min(len(text), start + _SPAN_SLICE)
            space = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
            if end < len(text) and space > start:
                end = space
            piece = text[start:end].encode("utf-8", "replace").decode("utf-8")
            offsets = self._tokenizer.encode(piece, add_special_tokens=False).offsets
            parts.append(np.array(offsets, dtype=np.int64).reshape(-1, 2) + start)
            start = end
        return np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.int64)


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


# CJK characters one by one; Latin words in pieces of at most four letters; digits in threes; every other sign alone
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]|\d{{1,3}}|[^\W\d_{_CJK}]{{1,4}}|[^\w\s]|_|\s+")  # every character stands in one match


class ScriptTokens:
    """Splits text by script, into about as many tokens as a multilingual model would."""

    @property
    def name(self) -> str:
        """Identity, kept in the manifest with the chunking."""
        return "script/1"

    def spans(self, text: str) -> Spans:
        """Return the tokens of `text` as character ranges, shape (n_tokens, 2)."""
        pieces = _TOKEN.findall(text)
        lengths = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
        white = np.fromiter(map(str.isspace, pieces), dtype=np.bool_, count=len(pieces))
        ends = np.cumsum(lengths)
        return np.stack([ends - lengths, ends], axis=1)[~white]
