"""Batches that shrink when memory runs out: nothing lost, nothing held."""

from weakref import ref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quarry.indexer.errors import ModelError
from quarry.indexer.models.batching import TokenBudget


def budget(tokens):
    return TokenBudget(tokens, lambda size: ModelError(f"memory ran out for one text of {size} tokens. Buy memory"))


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 200), st.integers(50, 300))
def test_every_row_is_computed_once_whatever_the_memory(lengths, tokens, memory):
    def forward(rows):
        if max(lengths[row] for row in rows) * len(rows) > memory:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [row * 2 for row in rows]

    shrinking = budget(tokens)
    done = [pair for batch in shrinking.batches(lengths) for pair in shrinking.run(batch, lengths, forward)]
    assert sorted(row for rows, _ in done for row in rows) == list(range(len(lengths)))
    assert all(found == [row * 2 for row in rows] for rows, found in done)


def test_the_tensors_of_a_failed_forward_are_gone_before_the_retry():
    alive, sizes = [], []

    def forward(rows):
        assert [tensor() for tensor in alive] == [None] * len(alive)
        states = torch.zeros(len(rows), 1000)
        alive.append(ref(states))
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return rows

    list(budget(100).run(list(range(8)), [10] * 8, forward))
    assert sizes == [8, 4, 2, 2, 2, 2]


def test_later_batches_are_smaller_from_the_start():
    sizes = []

    def forward(rows):
        sizes.append(len(rows))
        if len(rows) > 4:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return rows

    shrinking = budget(80)
    lengths = [10] * 24
    for batch in shrinking.batches(lengths):
        list(shrinking.run(batch, lengths, forward))
    assert sizes == [8, 4, 4, 4, 4, 4, 4]
    assert shrinking.tokens == 40


def test_one_row_too_many_says_what_to_do():
    def forward(rows):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ModelError, match="memory ran out for one text of 7 tokens. Buy memory"):
        list(budget(100).run([0, 1], [7, 5], forward))


def test_other_errors_pass():
    def forward(rows):
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(budget(100).run([0], [1], forward))


def test_memory_is_given_back_every_eighth_batch_and_not_for_single_rows(monkeypatch):
    given = []
    monkeypatch.setattr("quarry.indexer.models.batching.give_back", lambda: given.append(1))
    several = budget(20)
    for batch in several.batches([10] * 40):
        list(several.run(batch, [10] * 40, list))
    assert len(given) == 2
    for _ in range(40):
        list(several.run([0], [10], list))
    assert len(given) == 2
