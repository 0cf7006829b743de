"""Token states become few bytes without losing who is near to whom."""

import numpy as np
import pytest

from quarry.indexer.tokens.projection import Projection, unit_rows


def states(count, width, rank, seed=0):
    """Unit rows that lie near a subspace of `rank` dimensions, away from the origin."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, rank)) @ rng.standard_normal((rank, width)) + 2.0
    rows = rows + 0.01 * rng.standard_normal(rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_basis_is_orthonormal_and_the_same_on_every_run():
    rows = states(500, 48, 12)
    one, two = Projection.fitted(rows, 16), Projection.fitted(rows, 16)
    assert one.dim == 16
    np.testing.assert_allclose(one.basis.T @ one.basis, np.eye(16), atol=1e-5)
    np.testing.assert_array_equal(one.basis, two.basis)


def test_bytes_keep_the_cosines_of_the_centered_states():
    rows = states(400, 48, 12)
    projection = Projection.fitted(rows, 16)
    centered = rows - projection.mean
    centered /= np.linalg.norm(centered, axis=1, keepdims=True)
    short = unit_rows(projection.compress(rows))
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-5)
    assert np.abs(short @ short.T - centered @ centered.T).max() < 0.05


def test_every_row_uses_the_whole_range_of_a_byte():
    projection = Projection.fitted(states(400, 48, 12), 16)
    stored = projection.compress(states(20, 48, 12, seed=1))
    assert stored.dtype == np.int8 and stored.shape == (20, 16)
    assert (np.abs(stored.astype(int)).max(axis=1) == 127).all()


def test_a_model_narrower_than_the_projection_keeps_its_width():
    assert Projection.fitted(states(100, 8, 4), 128).dim == 8


def test_no_tokens_make_no_rows_and_no_projection():
    projection = Projection.fitted(states(100, 8, 4), 4)
    assert projection.compress(np.zeros((0, 8), np.float32)).shape == (0, 4)
    with pytest.raises(ValueError, match="no token states"):
        Projection.fitted(np.zeros((0, 8), np.float32))


def test_the_mean_state_becomes_zeros_instead_of_noise():
    projection = Projection(np.array([1, 0], np.float32), np.eye(2, dtype=np.float32))
    assert projection.compress(np.array([[3, 0]], np.float32)).tolist() == [[0, 0]]
