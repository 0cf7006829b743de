"""Held-out examples become a data set of the index's documents, found by id or by text."""

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.errors import FeedbackError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.training.examples.example import Example
from quarry.training.examples.held_out import Places, held_out
from quarry.training.examples.rows import TrainingRow

LONG = "# 借书\n\n每位读者一次可以借十本书。\n\n" + "\n\n".join(
    f"第{n}条：逾期一天罚款一元，最多{n}元。" for n in range(40)
)
DOCUMENTS = [Document("zh", LONG, "借书规则"), Document("en", "Renew a book twice before it is due.", "Loans")]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("held") / "index"
    index_documents(root, DOCUMENTS, None)
    return Index.open(root)


def example(query, *pos, ids=()):
    return Example.of(TrainingRow(query, pos), positive_ids=ids)


def test_positives_are_found_by_passage_id_document_id_and_text(index):
    chunk = index.chunks.chunks(index.chunks.digests()[0])
    passage = next(one for one in chunk if one.doc_id == "zh")
    assert len([one for one in chunk if one.doc_id == "zh"]) > 1
    found = held_out(
        [
            example("按段落编号", "anything", ids=[passage.chunk_id]),
            example("by document", "anything", ids=["en"]),
            example("按段落原文", passage.text),
            example("by the text with its title", "Loans\nrenew a book  twice before it is due."),
        ],
        Places(index),
    )
    texts = {query.query_id: query.text for query in found.dataset.queries}
    assert {texts[name]: grades for name, grades in found.dataset.qrels.items()} == {
        "按段落编号": {"zh": 1},
        "by document": {"en": 1},
        "按段落原文": {"zh": 1},
        "by the text with its title": {"en": 1},
    }
    assert found.nowhere == ()


def test_queries_without_a_place_are_counted_and_same_queries_are_one(index):
    found = held_out(
        [
            example("q", "nowhere"),
            example("who", "not here"),
            example("q", "x", ids=["en"]),
            example("Q", "x", ids=["zh"]),
        ],
        Places(index),
    )
    assert [query.text for query in found.dataset.queries] in (["q"], ["Q"])
    assert list(found.dataset.qrels.values()) == [{"en": 1, "zh": 1}]
    assert len(found.nowhere) == 1


def test_nothing_to_judge_with_is_an_error(index):
    with pytest.raises(FeedbackError, match="none of the 1 held-out queries has a positive that is in the index"):
        held_out([example("q", "nowhere")], Places(index))
