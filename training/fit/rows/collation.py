"""From the draws of one step to padded tokens: for an embedder texts, for a reranker pairs, tokenized as at serving time.

Equal texts are encoded once. Longest first, because the model reads a batch in pieces of like length, so that next to nothing is
computed for padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.models.few_shot import ALL_TOKENS
from quarry.indexer.models.format import ModelFormat
from quarry.indexer.models.tokenizer import ModelTokenizer
from quarry.retriever.rerankers.cross_encoder import pair_tokens
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.loop.losses import Roles
from quarry.training.fit.rows.batches import Draw
from quarry.training.fit.rows.examples_before import ExamplesBefore, in_context_format
from quarry.training.fit.rows.table import RowTable, text_number
from quarry.training.fit.rows.tokens import QueryTokens, Tokenizer, asked_format, padded
from quarry.training.fit.spec import LABELLED, RerankerSpec, TrainSpec

if TYPE_CHECKING:
    pass

# FlagEmbedding: a set of this name has no in-batch negatives; here, a row's kind that ends with it
NO_IN_BATCH = "no_in_batch_neg"


def _is_alone(kind: str) -> bool:
    """Tell whether rows of a kind have their own negatives only: those of other rows may have the right label."""
    return kind.endswith(NO_IN_BATCH) or kind.startswith(LABELLED)


class Collator:
    """Turns the draws of one batch into what the trainer and the loss read."""

    def __init__(
        self, rows: Sequence[TrainingRow] | RowTable, spec: TrainSpec, tokenizer: ModelTokenizer, shape: ModelFormat
    ) -> None:
        self._table = RowTable.of(rows)
        self._rows = self._table.rows
        self._spec = spec
        self._shape = shape
        self._examples: ExamplesBefore | None = None
        together = ALL_TOKENS
        if spec.in_context is not None:
            self._shape = in_context_format(shape)
            self._examples = ExamplesBefore(self._table, spec.in_context, tokenizer, spec.seed)
            together = spec.in_context.max_tokens
        self._queries = QueryTokens(tokenizer, self._shape, spec.max_query_tokens, together)
        self._passages = Tokenizer(tokenizer, min(spec.max_passage_tokens, shape.max_tokens))

    def __call__(self, draws: Sequence[Draw]) -> dict[str, Any]:
        """Return `query_*` and `passage_*` tokens and, as `label`, the fields of `Roles`."""
        rows = [self._rows[draw.row] for draw in draws]
        formats = [asked_format(self._shape.query_format, row.prompt) for row in rows]
        if self._examples is not None:
            formats = self._examples.formats(draws, formats)
        encoded = self._queries.encode([row.query for row in rows], formats)
        order = sorted(range(len(draws)), key=lambda place: -len(encoded[place]))
        draws = [draws[place] for place in order]
        texts = list(dict.fromkeys(text for draw in draws for text in self._texts(draw)))
        head, tail = self._shape.document_format.split("{text}", 1)
        ids = dict(zip(texts, self._passages.encode([head + text + tail for text in texts]), strict=True))
        texts.sort(key=lambda text: -len(ids[text]))
        queries = padded([encoded[place] for place in order], self._queries.pad)
        passages = padded([ids[text] for text in texts], self._passages.pad)
        roles = self._roles(draws, {text: column for column, text in enumerate(texts)})
        return {
            "query_input_ids": queries.ids,
            "query_attention_mask": queries.mask,
            "passage_input_ids": passages.ids,
            "passage_attention_mask": passages.mask,
            "label": {field.name: getattr(roles, field.name) for field in fields(Roles)},
        }

    def _texts(self, draw: Draw) -> list[str]:
        row = self._rows[draw.row]
        return [row.pos[draw.positive], *(row.neg[number] for number in draw.negatives)]

    def _roles(self, draws: Sequence[Draw], column: dict[str, int]) -> Roles:
        import torch

        rows = [self._rows[draw.row] for draw in draws]
        width = max(len(draw.negatives) for draw in draws)
        own = np.full((len(draws), width), -1, dtype=np.int64)
        teacher = np.full((len(draws), 1 + width), np.nan, dtype=np.float32)
        answers = [self._table.answers(text_number(row.query)) for row in rows]
        known = np.full((len(draws), max(map(len, answers))), -1, dtype=np.int64)
        for line, (draw, row) in enumerate(zip(draws, rows, strict=True)):
            own[line, : len(draw.negatives)] = [column[row.neg[number]] for number in draw.negatives]
            known[line, : len(answers[line])] = answers[line]
            if row.pos_scores:
                teacher[line, 0] = row.pos_scores[draw.positive]
            if row.neg_scores:
                teacher[line, 1 : 1 + len(draw.negatives)] = [row.neg_scores[number] for number in draw.negatives]
        alone = [not self._spec.loss.in_batch_negatives or _is_alone(row.kind) for row in rows]
        return Roles(
            positive=torch.tensor([column[self._texts(draw)[0]] for draw in draws]),
            own=torch.from_numpy(own),
            known=torch.from_numpy(known),
            text=torch.tensor([text_number(text) for text in column]),
            alone=torch.tensor(alone),
            teacher=torch.from_numpy(teacher),
        )


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the queries of a batch are compared with.

    Attributes:
        texts: Of each query: its positive, then negatives.
        table: Numbers of the pairs, in this order, -1 for padding; int64, shape (B, K).
        teacher: Scores of a teacher, NaN where there is none; float32, shape (B, K).
    """

    texts: list[list[str]]
    table: NDArray[np.int64]
    teacher: NDArray[np.float32]


class PairCollator:
    """Turns the draws of one batch into pairs; candidate 0 of each query is its positive."""

    def __init__(self, rows: Sequence[TrainingRow], spec: RerankerSpec, tokenizer: ModelTokenizer) -> None:
        self._rows = rows
        self._spec = spec
        self._tokenizer = tokenizer
        self._backend = tokenizer.copy()
        self._answers: dict[str, set[str]] = {}
        for row in rows:
            self._answers.setdefault(row.query, set()).update(row.pos)

    def __call__(self, draws: Sequence[Draw]) -> dict[str, Any]:
        """Return `pairs` (padded tokens) and `label`: `table` of pair numbers, -1 for padding, and `teacher`, both (B, K)."""
        import torch

        pairs: list[tuple[list[int], list[int]]] = []
        found = self.texts(draws)
        for draw, texts in zip(draws, found.texts, strict=True):
            pairs += pair_tokens(self._backend, self._spec.max_tokens, self._rows[draw.row].query, texts)
        order = sorted(range(len(pairs)), key=lambda number: -len(pairs[number][0]))
        place = np.empty(len(pairs), dtype=np.int64)
        place[order] = np.arange(len(pairs))
        table = np.where(found.table < 0, -1, place[found.table])
        return {
            "pairs": padded_pairs([pairs[number] for number in order], self._tokenizer),
            "label": {"table": torch.from_numpy(table), "teacher": torch.from_numpy(found.teacher)},
        }

    def texts(self, draws: Sequence[Draw]) -> "Candidates":
        """Return what each query is compared with."""
        lists = [self._candidates(place, draws) for place in range(len(draws))]
        width = max(len(texts) for texts, _ in lists)
        table = np.full((len(draws), width), -1, dtype=np.int64)
        teacher = np.full((len(draws), width), np.nan, dtype=np.float32)
        number = 0
        for line, (texts, scores) in enumerate(lists):
            table[line, : len(texts)] = range(number, number + len(texts))
            teacher[line, : len(scores)] = scores
            number += len(texts)
        return Candidates([texts for texts, _ in lists], table, teacher)

    def _candidates(self, place: int, draws: Sequence[Draw]) -> tuple[list[str], list[float]]:
        """The positive, the drawn negatives, then positives of the rows that follow in the batch; and scores where known."""
        draw, row = draws[place], self._rows[draws[place].row]
        texts = [row.pos[draw.positive], *(row.neg[number] for number in draw.negatives)]
        scores = [row.pos_scores[draw.positive]] if row.pos_scores else [float("nan")]
        scores += [row.neg_scores[number] if row.neg_scores else float("nan") for number in draw.negatives]
        if self._spec.loss.in_batch_negatives:
            for step in range(1, len(draws)):
                if len(texts) > self._spec.loss.hard_negatives:
                    break
                other = draws[(place + step) % len(draws)]
                text = self._rows[other.row].pos[other.positive]
                if text not in self._answers[row.query] and text not in texts:
                    texts.append(text)
        return texts, scores


def padded_pairs(pairs: Sequence[tuple[list[int], list[int]]], tokenizer: ModelTokenizer) -> dict[str, Any]:
    """Return pairs padded on the right to the longest of them, with segments where the model reads them."""
    import torch

    width = max(len(ids) for ids, _ in pairs)
    table = torch.full((len(pairs), width), tokenizer.pad_token_id or 0, dtype=torch.long)
    mask, segments = torch.zeros_like(table), torch.zeros_like(table)
    for line, (ids, types) in enumerate(pairs):
        table[line, : len(ids)] = torch.tensor(ids)
        mask[line, : len(ids)] = 1
        segments[line, : len(ids)] = torch.tensor(types)
    found = {"input_ids": table, "attention_mask": mask}
    return found | ({"token_type_ids": segments} if "token_type_ids" in tokenizer.model_input_names else {})
