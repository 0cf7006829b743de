"""Examples in front of the queries of a batch, for training decoders in context (arXiv 2409.15700, sections 3.3 and 4.3)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from quarry.indexer.errors import SettingsError
from quarry.indexer.models.few_shot import Shot, cut_text, with_shots, without_shots
from quarry.indexer.models.format import ModelFormat
from quarry.indexer.models.tokenizer import ModelTokenizer
from quarry.training.examples.row import NO_INSTRUCTION
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.rows.batches import Draw
from quarry.training.fit.rows.table import RowTable
from quarry.training.fit.spec import InContextSpec

_DRAWS = 58_271  # a stream of its own, so that examples move no other draw
_TRIES = 8  # rows looked at for each fixed example


class ExamplesBefore:
    """Chooses the examples of each query and puts them into its format.

    Args:
        table: The rows, of which fixed examples are chosen.
        spec: How many, which, and how long.
        tokenizer: The model's.
        seed: Draws follow from it.
    """

    def __init__(self, table: RowTable, spec: InContextSpec, tokenizer: ModelTokenizer, seed: int) -> None:
        self._table = table
        self._spec = spec
        self._seed = seed
        self._tokenizer = tokenizer.copy()
        self._fixed: dict[str, list[TrainingRow]] = {}

    def formats(self, draws: Sequence[Draw], plain: Sequence[str]) -> list[str]:
        """Return the query format of each draw with its examples.

        Args:
            draws: The batch.
            plain: The formats without examples, one per draw.
        """
        rows = [self._table.rows[draw.row] for draw in draws]
        found = []
        for place, query_format in enumerate(plain):
            shots = self._fixed_for(rows[place]) if self._spec.choice == "fixed" else self._drawn(place, draws, rows)
            found.append(query_format if query_format == NO_INSTRUCTION else with_shots(query_format, shots))
        return found

    def served(self, kind: str) -> list[Shot]:
        """Return the fixed examples of a kind, which a model of one kind is served with."""
        return [self._shot(row, 0) for row in self._candidates(kind)[: self._spec.examples]]

    def _drawn(self, place: int, draws: Sequence[Draw], rows: Sequence[TrainingRow]) -> list[Shot]:
        """Draw how many, uniformly from none to all, and which of the batch."""
        own = rows[place]
        others = [
            other
            for other, row in enumerate(rows)
            if row.kind == own.kind and _differs(row, own, row.pos[draws[other].positive])
        ]
        rng = np.random.default_rng([_DRAWS, self._seed, draws[place].epoch, draws[place].row])
        count = min(int(rng.integers(self._spec.examples + 1)), len(others))
        chosen: list[int] = rng.choice(len(others), count, replace=False).tolist() if count else []
        return [self._shot(rows[others[number]], draws[others[number]].positive) for number in chosen]

    def _fixed_for(self, own: TrainingRow) -> list[Shot]:
        rows = [row for row in self._candidates(own.kind) if _differs(row, own, row.pos[0])]
        return [self._shot(row, 0) for row in rows[: self._spec.examples]]

    def _candidates(self, kind: str) -> list[TrainingRow]:
        """Return rows of a kind in a drawn order, one more than a query has: none is its own example."""
        if kind not in self._fixed:
            number = self._table.kinds.index(kind)
            places = np.flatnonzero(self._table.kind == number)
            rng = np.random.default_rng([_DRAWS, self._seed, number])
            wanted = min(len(places), (self._spec.examples + 1) * _TRIES)
            chosen: list[TrainingRow] = []
            for place in rng.choice(places, wanted, replace=False).tolist():
                row = self._table.rows[place]
                if all(_differs(row, other, row.pos[0]) for other in chosen):
                    chosen.append(row)
            self._fixed[kind] = chosen
        return self._fixed[kind]

    def _shot(self, row: TrainingRow, positive: int) -> Shot:
        query, response = (
            cut_text(text, self._spec.part_tokens, self._tokenizer) for text in (row.query, row.pos[positive])
        )
        instruct = "" if row.prompt in ("", NO_INSTRUCTION) else row.prompt
        return Shot(query, response, instruct)


def _differs(row: TrainingRow, own: TrainingRow, answer: str) -> bool:
    return row.query != own.query and answer not in own.pos


def in_context_format(shape: ModelFormat) -> ModelFormat:
    """Return the format that examples are put before.

    Raises:
        SettingsError: If it has nothing behind the query, or a blank line before it: an example could not be told from the query.
    """
    plain = without_shots(shape.query_format) if shape.in_context else shape.query_format
    head, _, tail = plain.partition("{query}")
    if not tail.strip() or "\n\n" in head:
        raise SettingsError(
            "fit.in_context_format",
            "the query format is {query_format}",
            expected="something behind the query, and no blank line before it, so that examples can be told apart",
            do="Set query_format, such as {example}",
            query_format=repr(shape.query_format),
            example='"<instruct>Find the answer.\\n<query>{query}\\n<response>"',
        )
    return replace(shape, query_format=plain, in_context=True)
