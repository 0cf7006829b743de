"""What the verdict's queries are asked of is settled before anything long: the index, else the passages that came with the files."""

import json

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.errors import FeedbackError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.retriever.data.datasets import documents, load_dataset
from quarry.training.examples.example import Example
from quarry.training.examples.rows import TrainingRow
from quarry.training.tuning.data.verdict import MOST_PASSAGES, folder_passages, judged_queries, tell, write_held_out
from quarry.training.tuning.plan import TuningPlan, Unwatched

COUNT = 24


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("verdict") / "index"
    index_documents(root, [Document(f"d{n}", f"indexed passage {n} 已索引的段落") for n in range(COUNT)], None)
    return Index.open(root)


@pytest.fixture
def spec(tmp_path):
    return TuningPlan(general=tmp_path).data


def asked(word, count=COUNT):
    return [Example.of(TrainingRow(f"问题 {word} {n}", (f"{word} passage {n} 已索引的段落",))) for n in range(count)]


def test_the_index_is_asked_where_it_holds_the_answers(index, spec, tmp_path):
    examples = asked("indexed")
    passages = [text for one in examples for text in one.row.pos]
    assert write_held_out(tmp_path / "set", examples, index, passages, spec) == (0, 0)
    found = load_dataset(tmp_path / "set")
    assert found.corpus_path is None
    assert len(found.queries) == COUNT


def test_pairs_that_are_not_indexed_are_asked_of_their_own_passages(index, spec, tmp_path):
    examples = [
        *asked("foreign"),
        Example.of(TrainingRow("问题  FOREIGN 3", ("foreign passage 3 已索引的段落", "also right"))),
    ]
    others = [f"another passage of the file {n}" for n in range(MOST_PASSAGES + 5)]
    passages = [text for one in examples for text in one.row.pos]
    nowhere, own = write_held_out(tmp_path / "set", examples, index, [*passages, *others], spec)
    assert (nowhere, own) == (0, COUNT + 1 + MOST_PASSAGES)
    found = load_dataset(tmp_path / "set")
    texts = {one.doc_id: one.text for one in documents(found)}
    assert len(texts) == own
    answers = {query.text: {texts[name] for name in found.qrels[query.query_id]} for query in found.queries}
    assert len(answers) == COUNT
    assert answers["问题 foreign 4"] == {"foreign passage 4 已索引的段落"}
    (both,) = (texts for texts in answers.values() if len(texts) == 2)
    assert both == {"foreign passage 3 已索引的段落", "also right"}


def test_a_few_answers_in_the_index_give_way_to_many_in_the_files(index, spec, tmp_path):
    examples = [*asked("indexed", 3), *asked("foreign")]
    passages = [text for one in examples for text in one.row.pos]
    _, own = write_held_out(tmp_path / "many", examples, index, passages, spec)
    assert own == COUNT + 3
    nowhere, own = write_held_out(tmp_path / "few", examples, index, passages[:3], spec)
    assert (nowhere, own) == (COUNT, 0)


def test_a_second_stage_needs_answers_in_the_index(index, tmp_path):
    from quarry.training.tuning.second_stage.spec import SecondStageSpec

    spec = TuningPlan(general=tmp_path, spec=SecondStageSpec()).data
    examples = asked("foreign")
    passages = [text for one in examples for text in one.row.pos]
    with pytest.raises(FeedbackError, match="none of the 24 held-out queries has a positive that is in the index"):
        write_held_out(tmp_path / "set", examples, index, passages, spec)


def beir(folder, doc_id, text):
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "which 哪个"}) + "\n", encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\nq1\t{doc_id}\t1\n", encoding="utf-8")
    if text:
        row = json.dumps({"_id": doc_id, "title": "T", "text": text})
        (folder / "corpus.jsonl").write_text(row + "\n", encoding="utf-8")
    return folder


def test_judged_queries_are_asked_of_the_index_of_their_own_corpus_or_refused(index, tmp_path):
    inside = judged_queries(beir(tmp_path / "inside", "d3", "a text"), index, index_only=False)
    assert inside.corpus_path is None
    outside = beir(tmp_path / "outside", "x", "a text")
    assert judged_queries(outside, index, index_only=False).corpus_path is not None
    assert folder_passages([outside, tmp_path]) == ("T\na text",)
    with pytest.raises(FeedbackError, match="none of the 1 judged queries of .*outside has a relevant document in"):
        judged_queries(outside, index, index_only=True)
    with pytest.raises(FeedbackError, match="none of the 1 judged queries of .*bare has a relevant document in"):
        judged_queries(beir(tmp_path / "bare", "x", ""), index, index_only=False)


def test_it_is_said_where_queries_are_asked_and_when_they_are_too_few():
    told = []

    class Told(Unwatched):
        def stage(self, message):
            told.append(str(message))

    tell(24, 0, Told())
    assert told == []
    tell(1, 40, Told())
    assert told[0].endswith("the 1 held-out query is asked of 40 passages of the files instead")
    assert told[1].startswith("1 query is held out, and a verdict needs 20: the model will be refused")
