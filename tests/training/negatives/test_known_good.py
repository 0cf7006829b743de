"""What counts as known to be good: ids, documents, overlapping passages, and texts that read the same."""

import pytest

from quarry.training.examples.example import Example
from quarry.training.examples.rows import TrainingRow
from quarry.training.negatives.known_good import KnownGood

GOOD = KnownGood(
    ["loans.md#100-200", "借书.md"],
    ["Renew your loans at the service desk, please.", "到服务台办理续借，每次可以延长三十天的借期。"],
)


@pytest.mark.parametrize(
    ("passage_id", "text", "expected"),
    [
        ("loans.md#100-200", "x", True),
        ("loans.md#150-300", "x", True),
        ("loans.md#200-300", "x", False),
        ("other.md#100-200", "x", False),
        ("借书.md#0-9", "x", True),
        ("借书.md.bak#0-9", "x", False),
        ("t1", "renew YOUR loans at the service desk,  please.", True),
        ("t1", "Loans\nRenew your loans at the service desk, please. Bring your card.", True),
        ("t1", "loans at the service desk", True),
        ("t1", "desk, please.", False),
        ("t1", "每次可以延长三十天的借期", False),
        ("t1", "借书\n到服务台办理续借，每次可以延长三十天的借期。", True),
        ("t1", "The desk opens at nine.", False),
    ],
)
def test_what_is_known_to_be_good(passage_id, text, expected):
    assert GOOD.holds(passage_id, text) is expected


def test_copies_are_found_by_their_n_grams():
    assert GOOD.is_copy("Renew your loans at the service desk please!!")
    assert GOOD.is_copy("到服务台办理续借，每次可以延长三十天的借期")
    assert not GOOD.is_copy("Return your loans at the front door")


def test_all_examples_of_a_query_count():
    examples = [
        Example.of(TrainingRow("怎么续借", ("a",)), positive_ids=["d#1"]),
        Example.of(TrainingRow(" 怎么续借 ", ("b",)), positive_ids=["d#2"]),
        Example.of(TrainingRow("other", ("c",))),
    ]
    known = KnownGood.of(examples)
    assert known.keys() == {"怎么续借", "other"}
    assert (known["怎么续借"].ids, known["怎么续借"].texts) == ({"d#1", "d#2"}, ("a", "b"))
