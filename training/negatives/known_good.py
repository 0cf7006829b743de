"""Which passages are known to answer a query, and which read like one of them: these must never become negatives."""

import re
from collections.abc import Iterable, Sequence
from typing import Self

from quarry.training.examples.example import Example, text_key
from quarry.training.examples.near_duplicates import jaccard, shingles

COPY = 0.8  # Jaccard similarity of n-grams from which a passage counts as a copy
_LONG_ENOUGH = 20  # characters from which a text inside another one means that both say the same
_SPAN = re.compile(r"(?P<document>.*)#(?P<start>\d+)-(?P<end>\d+)")


class KnownGood:
    """The positives of one query, of all examples that ask it."""

    def __init__(self, ids: Iterable[str], texts: Iterable[str]) -> None:
        self.ids = frozenset(ids)
        self.texts = tuple(dict.fromkeys(texts))
        self._keys = frozenset(text_key(text) for text in self.texts)
        self._spans = [match for name in self.ids if (match := _SPAN.fullmatch(name))]
        self._shingles = [shingles(text) for text in self.texts]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> dict[str, Self]:
        """Return the known good passages of each query, by `Example.key`."""
        ids: dict[str, list[str]] = {}
        texts: dict[str, list[str]] = {}
        for example in examples:
            ids.setdefault(example.key, []).extend(example.positive_ids)
            texts.setdefault(example.key, []).extend(example.row.pos)
        return {key: cls(ids[key], texts[key]) for key in ids}

    def holds(self, passage_id: str, text: str) -> bool:
        """Tell whether a passage is one of the positives.

        It is when its id or its document's was judged, when it overlaps a judged passage, or when its text is that of a
        positive, contains it, or is a part of it (texts from 20 characters).
        """
        return self._judged(passage_id) or self._reads_alike(text_key(text))

    def is_copy(self, text: str) -> bool:
        """Tell whether a text is a near duplicate of a positive."""
        found = shingles(text)
        return any(jaccard(found, known) >= COPY for known in self._shingles)

    def _judged(self, passage_id: str) -> bool:
        if passage_id in self.ids:
            return True
        span = _SPAN.fullmatch(passage_id)
        if span is None:
            return False
        return span["document"] in self.ids or any(
            span["document"] == known["document"]
            and int(span["start"]) < int(known["end"])
            and int(known["start"]) < int(span["end"])
            for known in self._spans
        )

    def _reads_alike(self, key: str) -> bool:
        if key in self._keys:
            return True
        return any(min(len(key), len(known)) >= _LONG_ENOUGH and (known in key or key in known) for known in self._keys)
