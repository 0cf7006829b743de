"""Copies are found among many pairs, and nothing else is taken for one."""

import random

import numpy as np
import pytest

from quarry.training.examples.near_duplicates import jaccard, shingles
from quarry.training.pairs.filters.copies import Copies, _Table, sketch_of
from quarry.training.pairs.filters.minhash import BANDS

WORDS = [
    "library",
    "book",
    "desk",
    "loan",
    "hall",
    "card",
    "reader",
    "shelf",
    "page",
    "paper",
    "title",
    "author",
    "year",
    "queue",
    "letter",
    "phone",
]


def text(draw, length=40):
    return " ".join(draw.choice(WORDS) + str(draw.randrange(40)) for _ in range(length))


def test_near_copies_are_found_and_others_are_not():
    draw, kept = random.Random(1), []
    copies = Copies(lambda row: kept[row])
    for number in range(400):
        passage = text(draw)
        sketch = sketch_of(f"query {number}", passage, symmetric=False)
        assert not copies.is_copy(sketch)
        copies.add(sketch.signature)
        kept.append((f"query number {number}", passage))
    missed = 0
    for query, passage in kept:
        words = passage.split()
        words[draw.randrange(40)] = "changed"
        near = " ".join(words)
        assert jaccard(shingles(near), shingles(passage)) > 0.85
        missed += not copies.is_copy(sketch_of(query, near, symmetric=False))
    assert missed <= 8  # two in a hundred


def test_pages_of_one_template_with_titles_of_their_own_are_no_copies():
    page = "The product {} is delivered within three days, has two years of warranty, and can be returned within thirty days."
    kept = [("Garden chair", page.format("Garden chair model A12"))]
    copies = Copies(lambda row: kept[row])
    copies.add(sketch_of(*kept[0], symmetric=False).signature)
    other = ("Electric kettle", page.format("Electric kettle with 2 litres"))
    assert not copies.is_copy(sketch_of(*other, symmetric=False))
    assert not copies.is_copy(sketch_of("Where is the city hall", kept[0][1], symmetric=False))
    assert copies.is_copy(sketch_of("garden chairs", kept[0][1], symmetric=False))


def test_a_table_that_grew_finds_what_was_put_in():
    table, draw = _Table(slots=64), np.random.default_rng(0)
    signatures = draw.integers(1, 2**32, (2000, BANDS), dtype=np.uint32)
    for row, signature in enumerate(signatures):
        table.add(signature, row)
    assert all(row in table.find(signature) for row, signature in enumerate(signatures))
    assert table.find(draw.integers(1, 2**32, BANDS, dtype=np.uint32)) == []


def test_the_same_passage_for_another_sentence_is_a_pair_of_its_own_where_both_are_alike():
    kept = [("How long are loans?", "When is a book due?")]
    copies = Copies(lambda row: kept[row])
    copies.add(sketch_of(*kept[0], symmetric=True).signature)
    other = ("For how many days may I have it", "When do I bring it back?")
    assert not copies.is_copy(sketch_of(*other, symmetric=True))


def test_a_copy_is_found_among_many_questions_about_one_passage():
    draw = random.Random(2)
    passage = text(draw)
    kept = [(text(draw, 6), passage) for _ in range(40)]
    copies = Copies(lambda row: kept[row])
    for query, said in kept:
        sketch = sketch_of(query, said, symmetric=False)
        assert not copies.is_copy(sketch)
        copies.add(sketch.signature)
    missed = 0
    for query, said in kept:
        near = f"{said} (copy)"
        missed += not copies.is_copy(sketch_of(query, near, symmetric=False))
    assert missed <= 2  # a twentieth; without the query's part in the signature, all but the first few


@pytest.mark.parametrize("different", [40, 2**32])
def test_a_table_that_is_filled_at_once_is_the_one_that_grew(different):
    draw = np.random.default_rng(1)
    signatures = draw.integers(0, different, (3000, BANDS), dtype=np.uint32)
    grown, filled = _Table(slots=64), _Table(slots=64)
    for row, signature in enumerate(signatures):
        grown.add(signature, row)
    filled.fill(signatures)
    assert all(sorted(filled.find(one)) == sorted(grown.find(one)) for one in signatures)
    grown.add(signatures[7], 3000)
    filled.add(signatures[7], 3000)
    assert sorted(filled.find(signatures[7])) == sorted(grown.find(signatures[7]))
    assert _Table().fill(signatures[:0]) is None
