"""A teacher scores what has no scores, once; its scores are those of the reranker."""

from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.rows.teacher import Teacher, taught_rows
from tests.fakes import OverlapReranker

ROWS = [
    TrainingRow("renew a book", ("renew a book online",), ("open at nine", "a book"), kind="retrieval:a"),
    TrainingRow("怎么续借", ("续借图书",), ("开放时间",), (0.1,), (0.7,)),
]


def test_rows_without_scores_get_the_rerankers_and_others_keep_theirs(tmp_path):
    reranker = OverlapReranker()
    found = taught_rows(ROWS, Teacher("overlap", lambda: reranker), tmp_path / "run")
    first, second = found
    scores = reranker.score("renew a book", ["renew a book online", "open at nine", "a book"]).tolist()
    assert (*first.pos_scores, *first.neg_scores) == tuple(scores)
    assert (first.pos, first.neg, first.kind) == (ROWS[0].pos, ROWS[0].neg, "retrieval:a")
    assert second == ROWS[1]


def test_they_are_scored_once_per_data_and_teacher(tmp_path):
    opened = []

    def load():
        opened.append(1)
        return OverlapReranker()

    for rows, name in ((ROWS, "a"), (ROWS, "a"), (ROWS[:1], "a"), (ROWS, "b")):
        taught_rows(rows, Teacher(name, load), tmp_path / "run")
    assert len(opened) == 3
