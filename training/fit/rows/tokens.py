"""Formatted texts as padded tokens, cut as training wants them; the same while a model is scored between its steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarry.indexer.models.few_shot import ALL_TOKENS, cut_text, without_shots
from quarry.indexer.models.fitting import Frame
from quarry.indexer.models.format import ModelFormat, with_instruction
from quarry.indexer.models.token_spans import CHARS_PER_TOKEN, encodable
from quarry.indexer.models.tokenizer import ModelTokenizer
from quarry.training.examples.row import NO_INSTRUCTION

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tokens:
    """Padded tokens, int64, shape (n, length), longest row first; `mask` is 1 for real ones."""

    ids: "Tensor"
    mask: "Tensor"


class Tokenizer:
    """The model's tokenizer, cutting at a length of its own; no state is set per call."""

    def __init__(self, tokenizer: ModelTokenizer, max_tokens: int) -> None:
        pad = tokenizer.pad_token_id
        self.pad = int(pad if pad is not None else (tokenizer.eos_token_id or 0))
        self._max_tokens = max_tokens
        self._fast = tokenizer.copy()
        self._whole = tokenizer.copy()  # cuts nothing: queries are cut within their format
        self._room = max_tokens - self._whole.num_special_tokens_to_add(False)
        self._fast.enable_truncation(max_length=max_tokens)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text, special ones included."""
        longest = self._max_tokens * CHARS_PER_TOKEN
        clean = [encodable(text[:longest]) for text in texts]
        return [encoding.ids for encoding in self._fast.encode_batch_fast(clean)]

    def encode_queries(self, queries: Sequence[str], formats: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each query in its format, special ones included; what the format has behind it is never cut."""
        frames = [Frame.of(query_format, "{query}") for query_format in formats]
        longest = self._max_tokens * CHARS_PER_TOKEN
        texts = [frame.around(query, longest) for frame, query in zip(frames, queries, strict=True)]
        clean = [encodable(text) for text in texts]
        found = []
        for encoding, frame, text in zip(
            self._whole.encode_batch(clean, add_special_tokens=False), frames, clean, strict=True
        ):
            fitted = frame.fit(
                text, encoding, self._room, lambda one: self._whole.encode(one, add_special_tokens=False)
            )
            found.append(self._whole.post_process(fitted.encoding, None, True).ids)
        return found

    def cut_query(self, query: str, query_format: str) -> str:
        """Return a query cut so that it fits with its format, of which nothing is cut."""
        around = self._whole.encode(query_format.replace("{query}", "", 1), add_special_tokens=False)
        return cut_text(query, max(1, self._room - len(around.ids)), self._whole)


def padded(ids: Sequence[Sequence[int]], pad: int) -> Tokens:
    """Return rows padded on the right to the longest of them."""
    import torch

    width = max(1, *(len(row) for row in ids), 1)
    table = torch.full((len(ids), width), pad, dtype=torch.long)
    mask = torch.zeros((len(ids), width), dtype=torch.long)
    for line, row in enumerate(ids):
        table[line, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[line, : max(1, len(row))] = 1
    return Tokens(table, mask)


def asked_format(query_format: str, prompt: str) -> str:
    """Return the format of a query with a row's own instruction (`TrainingRow.prompt`)."""
    if prompt == NO_INSTRUCTION:
        return NO_INSTRUCTION
    return with_instruction(query_format, prompt) if prompt else query_format


class QueryTokens:
    """Tokens of queries in their formats. What a format has behind the query is never cut; examples in front of it come on top.

    Args:
        tokenizer: The model's.
        shape: Its format.
        max_tokens: Of a query in its own format.
        together: Of a query with its examples.
    """

    def __init__(
        self, tokenizer: ModelTokenizer, shape: ModelFormat, max_tokens: int, together: int = ALL_TOKENS
    ) -> None:
        self._in_context = shape.in_context
        self._short = Tokenizer(tokenizer, min(max_tokens, shape.max_tokens))
        self._long = Tokenizer(tokenizer, min(together, shape.max_tokens))
        self.pad = self._short.pad

    def encode(self, queries: Sequence[str], formats: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each query in its format, special ones included."""
        plain = [without_shots(one) for one in formats] if self._in_context else list(formats)
        if plain == list(formats):
            return self._short.encode_queries(queries, formats)
        cut = [self._short.cut_query(query, one) for query, one in zip(queries, plain, strict=True)]
        return self._long.encode_queries(cut, formats)
