"""Tokens as character ranges, the unit in which passages are measured: a model's own, or by script where there is no model."""

import re
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np

from quarry.indexer.embedder import Spans

CHARS_PER_TOKEN = 64  # no tokenizer makes tokens that long, so text past it is cut before tokenizing
_SPAN_SLICE = 200_000  # characters tokenized at once


def encodable(text: str) -> str:
    """Return a text with what has no UTF-8, such as half a surrogate pair, replaced: tokenizers take nothing else."""
    return text.encode("utf-8", "replace").decode("utf-8")


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
            piece = encodable(text[start:end])
            offsets = self._tokenizer.encode(piece, add_special_tokens=False).offsets
            parts.append(np.array(offsets, dtype=np.int64).reshape(-1, 2) + start)
            start = end
        return np.concatenate(parts) if parts else np.zeros((0, 2), dtype=np.int64)


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
