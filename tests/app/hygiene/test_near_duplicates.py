"""Documents that are nearly the same are found, in both languages, and others are not."""

import random

import pytest

from quarry.app.hygiene.near_duplicates import near_duplicates, shingles
from quarry.training.examples.near_duplicates import jaccard

ENGLISH = [f"word{n}" for n in range(3_000)]
CHINESE = [chr(0x4E00 + n) for n in range(3_000)]


def made(words, seed, length=300):
    chance = random.Random(seed)
    return [chance.choice(words) for _ in range(length)]


def changed(text, share, words, seed):
    chance = random.Random(seed)
    return [chance.choice(words) if chance.random() < share else word for word in text]


@pytest.mark.parametrize(("words", "between"), [(ENGLISH, " "), (CHINESE, "")])
def test_copies_with_few_changes_are_one_group_and_others_are_none(words, between):
    texts = {}
    for number in range(30):
        original = made(words, number)
        texts[f"{number}-a"] = between.join(original)
        texts[f"{number}-b"] = between.join(changed(original, 0.01, words, number + 1_000))
        texts[f"{number}-c"] = between.join(changed(original, 0.30, words, number + 2_000))
    found = near_duplicates(texts.items(), texts.__getitem__)
    assert found == sorted([f"{number}-a", f"{number}-b"] for number in range(30))


def test_what_is_compared_is_exact():
    one, other = shingles("a b c d e f g"), shingles("a b c d e f h")
    assert jaccard(one, other) == 2 / 4
    assert jaccard(one, one) == 1
    assert jaccard(shingles(""), shingles("")) == 0


def test_case_width_and_white_space_make_no_difference_and_empty_texts_are_no_copies():
    texts = {"a": "The Gate  is SHUT at ten", "b": "the gate is shut\nat ｔｅｎ", "c": "", "d": " \n", "e": "the gate"}
    assert near_duplicates(texts.items(), texts.__getitem__) == [["a", "b"]]


def test_a_chain_is_one_group():
    words = made(ENGLISH, 1, 1_000)
    texts = {str(n): " ".join(words[n * 30 : n * 30 + 600]) for n in range(3)}
    assert near_duplicates(texts.items(), texts.__getitem__) == [["0", "1", "2"]]
