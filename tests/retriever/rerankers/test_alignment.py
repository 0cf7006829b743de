"""Alignments show words, not pieces of words, in both languages."""

import numpy as np

from quarry.retriever.rerankers.alignment import Meeting, meetings


def spans(*pairs):
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def test_pieces_are_widened_to_words_and_the_best_piece_speaks_for_its_word():
    query, passage = "renewal fee", "To renew, pay the charge."
    asked = spans((0, 5), (5, 7), (7, 11))  # renew|al| fee
    told = spans((0, 2), (2, 5), (5, 8), (8, 9), (9, 13), (13, 17), (17, 24), (24, 25))
    cosines = np.zeros((3, 8), np.float32)
    cosines[0, 2], cosines[1, 1], cosines[2, 6] = 0.9, 0.4, 0.7
    found = meetings(query, asked, passage, told, cosines)
    assert [(one.query, one.passage) for one in found] == [("renewal", "renew"), ("fee", "charge")]
    assert [round(one.cosine, 2) for one in found] == [0.9, 0.7]


def test_chinese_tokens_stand_for_themselves_and_marks_are_left_out():
    query, passage = "怎么续借？", "books 可以延长借期"
    found = meetings(
        query,
        spans((0, 2), (2, 4), (4, 5)),
        passage,
        spans((0, 5), (5, 8), (8, 10), (10, 12)),
        np.eye(3, 4, 1, np.float32),
    )
    assert found == (Meeting("怎么", "可以", 1.0), Meeting("续借", "延长", 1.0))


def test_states_of_another_tokenizer_give_nothing():
    assert meetings("a", spans((0, 1)), "b c", spans((0, 1), (1, 3)), np.array([[0.1]], np.float32)) == ()
    assert meetings("", spans(), "b", spans((0, 1)), np.zeros((0, 1), np.float32)) == ()
