"""From the draws of one step to padded pairs for a reranker: tokens as at serving time, longest first."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from quarry.indexer.models.tokenizer import ModelTokenizer
from quarry.retriever.rerankers.cross_encoder import pair_tokens
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.batches import Draw
from quarry.training.fit.spec import RerankerSpec


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
        lists = [self._candidates(place, draws) for place in range(len(draws))]
        width = max(len(texts) for texts, _ in lists)
        table = np.full((len(draws), width), -1, dtype=np.int64)
        teacher = np.full((len(draws), width), np.nan, dtype=np.float32)
        for line, (draw, (texts, scores)) in enumerate(zip(draws, lists, strict=True)):
            table[line, : len(texts)] = range(len(pairs), len(pairs) + len(texts))
            teacher[line, : len(scores)] = scores
            pairs += pair_tokens(self._backend, self._spec.max_tokens, self._rows[draw.row].query, texts)
        order = sorted(range(len(pairs)), key=lambda number: -len(pairs[number][0]))
        place = np.empty(len(pairs), dtype=np.int64)
        place[order] = np.arange(len(pairs))
        table = np.where(table < 0, -1, place[table])
        return {
            "pairs": padded_pairs([pairs[number] for number in order], self._tokenizer),
            "label": {"table": torch.from_numpy(table), "teacher": torch.from_numpy(teacher)},
        }

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
