"""Learning a map from lists that can be learned, and from such that cannot."""

import numpy as np
import pytest
import torch

from quarry.indexer.errors import SettingsError
from quarry.retriever.rerankers.late_interaction import Compared
from quarry.training.tuning.second_stage.fitting import fit_map, maxsims
from quarry.training.tuning.second_stage.lists import CandidateList
from quarry.training.tuning.second_stage.spec import SecondStageSpec

DIM = 16
SPEC = SecondStageSpec(epochs=6, learning_rate=0.05, batch_size=8, closeness=(0.0,), gains=(0.0, 1.0, 2.0))


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def lists(count, seed, *, learnable=True):
    """Queries whose answer agrees with them in a quarter of the dimensions; the fused order knows nothing."""
    draws = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        asked = unit(draws.normal(size=(5, DIM)))
        states = [draws.normal(size=(12, DIM)) for _ in range(16)]
        right = int(draws.integers(16))
        if learnable:
            states[right][:5, :4] = asked[:, :4] * 4
        packed = [np.rint(unit(one) * 127).astype(np.int8) for one in states]
        compared = Compared(asked, packed, draws.normal(size=16).astype(np.float32))
        found.append(CandidateList(compared, [f"d{row}" for row in range(16)], frozenset({f"d{right}"})))
    return found


def mean_quality(lists, tuned):
    """Mean nDCG@10 with a map."""
    return float(np.mean([one.quality(one.compared.scores(tuned)) for one in lists]))


def test_a_map_is_learned_that_holds_on_other_queries():
    chosen = fit_map(lists(60, 0), lists(30, 1), SPEC)
    unseen = lists(30, 2)
    assert chosen.after > chosen.before + 0.1 and chosen.tuned.gain > 0
    assert mean_quality(unseen, chosen.tuned) > mean_quality(unseen, None) + 0.1


def test_closeness_keeps_the_map_near_none():
    train, dev = lists(16, 0), lists(5, 1)
    near, far = (fit_map(train, dev, SPEC.model_copy(update={"closeness": (weight,)})) for weight in (1000.0, 0.0))
    assert np.abs(near.tuned.change).mean() < 0.5 * np.abs(far.tuned.change).mean()


def test_where_nothing_can_be_learned_a_gain_of_none_may_be_chosen_and_leaves_the_scores():
    train, dev = lists(8, 0, learnable=False), lists(8, 1, learnable=False)
    chosen = fit_map(train, dev, SPEC.model_copy(update={"gains": (0.0,), "epochs": 1}))
    assert chosen.tuned.gain == 0 and chosen.after == chosen.before


def test_the_same_seed_gives_the_same_map():
    train, dev = lists(20, 0), lists(10, 1)
    first, again = (fit_map(train, dev, SPEC.model_copy(update={"epochs": 2})) for _ in range(2))
    np.testing.assert_array_equal(first.tuned.change, again.tuned.change)


def test_the_number_of_threads_changes_nothing():
    train, dev, threads = lists(20, 0), lists(10, 1), torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(fit_map(train, dev, SPEC.model_copy(update={"epochs": 2})))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(found[0].tuned.change, found[1].tuned.change)
    assert (found[0].tuned.gain, found[0].after) == (found[1].tuned.gain, found[1].after)


def test_a_query_is_judged_by_maps_that_did_not_see_it():
    """Noise can be learned by heart; judged by the maps that learned it, it would seem to gain."""
    noise = lists(24, 3, learnable=False)
    chosen = fit_map(noise[:20], noise[20:], SPEC.model_copy(update={"epochs": 15, "seeds": 1}))
    by_heart = fit_map(noise[:20], noise[20:], SPEC.model_copy(update={"epochs": 15, "seeds": 1, "gains": (2.0,)}))
    assert mean_quality(noise, by_heart.tuned) > by_heart.after + 0.2
    assert chosen.tuned.gain == 0


def test_the_mean_of_several_seeds_is_taken():
    train, dev = lists(20, 0), lists(10, 1)
    spec = SPEC.model_copy(update={"epochs": 2})
    alone = [fit_map(train, dev, spec.model_copy(update={"seeds": 1, "seed": seed})).tuned.change for seed in range(3)]
    together = fit_map(train, dev, spec.model_copy(update={"seeds": 3})).tuned.change
    np.testing.assert_allclose(together, np.mean(alone, axis=0), atol=1e-6)


def test_queries_without_their_answer_among_the_candidates_teach_nothing():
    (one,) = lists(1, 0)
    absent = CandidateList(one.compared, one.documents, frozenset({"elsewhere"}))
    assert absent.positive() is None and absent.quality(one.compared.plain) == 0.0
    assert not fit_map([absent], [absent], SPEC).tuned.change.any()


def test_settings_that_are_wrong_are_all_named():
    with pytest.raises(SettingsError, match="2 faults: .*epochs.*surprise|2 faults: .*surprise.*epochs"):
        SecondStageSpec.of({"epochs": 0, "surprise": 1})


def test_the_maxsim_of_learning_and_its_gradient_are_those_of_all_cosines():
    draws = np.random.default_rng(3)
    stored = draws.integers(-127, 128, (40, DIM)).astype(np.int8)
    ends, weights = [7, 8, 25, 40], torch.tensor([1.0, -2.0, 0.5, 3.0])
    asked = torch.from_numpy(unit(draws.normal(size=(6, DIM)))).requires_grad_()
    found = maxsims(asked, stored, ends)
    (found * weights).sum().backward()
    ours, asked.grad = asked.grad.clone(), None
    cosines = asked @ torch.from_numpy(unit(stored.astype(np.float32))).T
    whole = torch.stack([part.amax(dim=1).mean() for part in cosines.split([7, 1, 17, 15], dim=1)])
    (whole * weights).sum().backward()
    torch.testing.assert_close(found, whole)
    torch.testing.assert_close(ours, asked.grad)
