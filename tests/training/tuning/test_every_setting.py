"""Every setting of the split, of the negatives and of the second stage does something. A new one without a case fails here.

Those of training itself are in tests/training/fit/test_every_setting.py, the options of the command in data/test_every_setting.py.
"""

import random
from dataclasses import fields, replace

import pytest

from quarry.training.examples.split import SplitSpec, split_examples
from quarry.training.negatives.corpus import MiningCorpus
from quarry.training.negatives.mine import mine_negatives
from quarry.training.negatives.spec import NegativeSpec
from quarry.training.tuning.second_stage.fitting import fit_map
from quarry.training.tuning.second_stage.spec import SecondStageSpec
from tests.training.examples.test_split import example, many
from tests.training.negatives.test_mine import CosineEmbedder, OddReranker, ask
from tests.training.tuning.second_stage.test_fitting import SPEC, lists

SPLIT = {"dev": 0.3, "test": 0.4, "seed": 1, "similarity": 0.2}
# the setting: what else is set on both sides, and its other value
NEGATIVES = {
    "pool": ({}, "bm25"),
    "ranks": ({}, (10, 40)),
    "number": ({}, 2),
    "seed": ({}, 1),
    "relative": ({}, 0.3),
    "absolute": ({}, 0.6),
    "above_random": ({"relative": 0.5}, False),
    "consistent_within": ({}, 5),
    "rerank_margin": ({}, 20.0),
    "fill": ({"ranks": (2, 3)}, False),
}
SECOND_STAGE = {
    "epochs": ({}, 1),
    "batch_size": ({}, 4),
    "learning_rate": ({}, 0.01),
    "negatives": ({}, 3),
    "closeness": ({}, (10.0,)),
    "gains": ({}, (0.0, 0.25)),
    "folds": ({}, 2),
    "seeds": ({}, 2),
    "seed": ({}, 5),
}


@pytest.mark.parametrize(("name", "value"), SPLIT.items())
def test_a_setting_of_the_split_changes_the_sides(name, value):
    alike = [example(f"renew the books of room {number} in hall {number % 3}") for number in range(12)]
    examples, spec = [*many(40), *alike], SplitSpec()
    assert split_examples(examples, replace(spec, **{name: value})) != split_examples(examples, spec)


@pytest.fixture(scope="module")
def mined():
    """Mine with a spec: passages of falling cosines, whose positives stand at several ranks, and a reranker of mixed opinion."""
    draw = random.Random(0)
    texts = [
        f"{''.join(chr(draw.randrange(0x4E00, 0x9F00)) for _ in range(9))}{number % 7} 0.{99 - number:02d}"
        for number in range(90)
    ]
    corpus = MiningCorpus.from_texts(texts, CosineEmbedder())
    asked = [ask(f"query {texts[place][:4]}", texts[place]) for place in (0, 1, 3, 8, 12)]

    def mine(**settings):
        spec = NegativeSpec(ranks=(2, 80), number=5, consistent_within=None)
        found = mine_negatives(asked, corpus, replace(spec, **settings), reranker=OddReranker())
        return [one.example.row for one in found.kept]

    return mine


@pytest.mark.parametrize(("name", "shared", "value"), [(name, *case) for name, case in NEGATIVES.items()])
def test_a_setting_of_the_negatives_changes_them(mined, name, shared, value):
    before = mined(**shared)
    assert mined(**shared) == before
    assert mined(**{**shared, name: value}) != before


@pytest.mark.parametrize(("name", "shared", "value"), [(name, *case) for name, case in SECOND_STAGE.items()])
def test_a_setting_of_the_second_stage_changes_the_map_or_its_judgement(name, shared, value):
    train, dev = lists(24, 0), lists(9, 1)
    spec = SPEC.model_copy(update={"epochs": 2, "seeds": 1, "gains": (0.0, 0.5, 1.0), **shared})

    def seen(one):
        chosen = fit_map(train, dev, one)
        return chosen.tuned.change.tobytes(), chosen.tuned.gain, chosen.after

    before = seen(spec)
    assert seen(spec.model_copy(update={name: value})) != before


def test_every_setting_has_a_case():
    assert {one.name for one in fields(SplitSpec)} == SPLIT.keys()
    # whether pairs of a file get neighbours has its test beside those of the data
    assert {one.name for one in fields(NegativeSpec)} == NEGATIVES.keys() | {"neighbours"}
    # how many candidates a query has is asked of the search: second_stage/test_subject.py
    assert SecondStageSpec.model_fields.keys() == SECOND_STAGE.keys() | {"depth"}
