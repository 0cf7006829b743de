"""Examples: lineage follows from the row, and what cannot be trained on is refused."""

from dataclasses import replace

import pytest

from quarry.training.examples.example import Example, text_key
from quarry.training.examples.rows import TrainingRow
from quarry.training.feedback.judgements import query_id

ROW = TrainingRow("如何续借图书？", ("到服务台办理。",))


def test_query_id_and_language_follow_from_the_query():
    chinese = Example.of(ROW, origin="feedback", positive_ids=["d#0-7", "d#0-7"])
    english = Example.of(TrainingRow(" How do I  RENEW a book", ("Ask at the desk.",)))
    assert (chinese.language, english.language) == ("zh", "en")
    assert chinese.positive_ids == ("d#0-7",)
    assert english.query_id == query_id("how do i renew a book")
    assert english.key == "how do i renew a book"


def test_negatives_replace_the_old_ones_with_their_scores():
    mined = Example.of(ROW).with_negatives(["开放时间"], pos_scores=[2.0], neg_scores=[-1.0])
    assert mined.row == TrainingRow("如何续借图书？", ("到服务台办理。",), ("开放时间",), (2.0,), (-1.0,))
    assert mined.with_negatives(["别的"]).row.pos_scores == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"row": TrainingRow(" ", ("p",))}, "no query or no positive"),
        ({"row": TrainingRow("q", ())}, "no query or no positive"),
        ({"weight": 0.0}, "weight is 0.0; expected"),
        ({"weight": 1.5}, "weight is 1.5; expected"),
        ({"origin": "dream"}, "origin is 'dream'; expected one of feedback"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(Example.of(ROW), **changes)


def test_texts_that_read_the_same_have_one_key():
    assert text_key("Ｆｕｌｌ  width\n") == text_key("full width")
