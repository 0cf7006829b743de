"""Questions and answers of any length and shape are taken apart in time that grows with their length."""

from contextlib import suppress
from time import thread_time

import pytest

from quarry.indexer.errors import QueryError
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.readers.charset import decode
from quarry.retriever.questions.understood import understand
from quarry.retriever.sentences import sentence_spans
from quarry.retriever.shown.highlight import highlight, snippet
from tests.hostile_texts import HOSTILE

BIGRAMS = analyzer("bigram")


def seconds(text: str) -> float:
    """Return the processor time of all that is done with one text, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = thread_time()
        BIGRAMS.query_tokens(text)
        sentence_spans(text)
        snippet(text, highlight(text, {"a", "ab"}, BIGRAMS))
        with suppress(QueryError):  # of exclusions alone
            understand(text)
        best = min(best, thread_time() - began)
    return best


@pytest.mark.parametrize(
    "name", sorted(HOSTILE.keys() - {"keys that amplify"})
)  # whose size is not the length of its text
def test_the_time_to_take_a_question_or_an_answer_apart_grows_with_its_length(name):
    _, make = HOSTILE[name]
    small, large = (decode(make(size)).text for size in (4_000, 64_000))
    first, second = seconds(small), seconds(large)
    assert second < 80 * max(first, 0.001), f"16 times the text took {second / first:.0f} times as long"
