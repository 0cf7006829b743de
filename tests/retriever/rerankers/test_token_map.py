"""A tuned second stage: its file, what it does to scores, and what is refused."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from quarry.indexer.errors import ModelError
from quarry.retriever.rerankers.late_interaction import Compared, maxsim, z_scores
from quarry.retriever.rerankers.token_map import NAME, TokenMap


def compared(seed=0, dim=6):
    draws = np.random.default_rng(seed)
    asked = draws.normal(size=(4, dim)).astype(np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    states = [draws.integers(-127, 128, size=(size, dim), dtype=np.int8) for size in (3, 9, 5)]
    return Compared(asked, states, draws.normal(size=3).astype(np.float32))


def test_a_map_that_changes_nothing_adds_the_plain_maxsim():
    found, still = compared(), TokenMap(np.zeros((6, 6), np.float32), 0.5)
    plain = np.array([maxsim(found.asked, one) for one in found.states], dtype=np.float32)
    np.testing.assert_allclose(found.scores(still), found.plain + 0.5 * z_scores(plain), atol=1e-6)
    assert found.scores(None) is found.plain
    np.testing.assert_array_equal(found.scores(TokenMap(np.ones((6, 6), np.float32), 0.0)), found.plain)


def test_a_map_on_the_querys_side_is_a_map_between_the_two_sides():
    found, draws = compared(), np.random.default_rng(1)
    tuned = TokenMap((draws.normal(size=(6, 6)) * 0.1).astype(np.float32), 1.0)
    passage = found.states[1].astype(np.float32)
    between = found.asked @ (np.eye(6, dtype=np.float32) + tuned.change).T @ passage.T
    lengths = np.linalg.norm(found.asked + found.asked @ tuned.change.T, axis=1, keepdims=True)
    np.testing.assert_allclose(tuned(found.asked) @ passage.T, between / lengths, rtol=1e-4, atol=1e-4)


def test_what_was_saved_is_read_again(tmp_path):
    tuned = TokenMap(np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32), 0.25)
    again = TokenMap.load(tuned.save(tmp_path / "map"), 6)
    np.testing.assert_array_equal(again.change, tuned.change)
    assert again.gain == 0.25


@pytest.mark.parametrize(
    "tensors",
    [
        {"change": np.zeros((6, 5), np.float32), "gain": np.ones(1, np.float32)},
        {"change": np.zeros((5, 5), np.float32), "gain": np.ones(1, np.float32)},
        {"change": np.zeros((6, 6), np.float32)},
    ],
    ids=["not square", "another length", "no gain"],
)
def test_another_file_is_refused_and_the_error_says_how_to_go_back(tmp_path, tensors):
    with pytest.raises(ModelError, match=r"is no tuned second stage .*quarry models rollback"):
        TokenMap.load(tmp_path, 6)
    save_file(tensors, tmp_path / NAME)
    with pytest.raises(ModelError, match="is no tuned second stage"):
        TokenMap.load(tmp_path, 6)
    (tmp_path / NAME).write_bytes(b"cut")
    with pytest.raises(ModelError, match="is no tuned second stage"):
        TokenMap.load(tmp_path, 6)
