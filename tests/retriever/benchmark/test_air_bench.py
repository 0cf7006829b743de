"""AIR-Bench's repositories, copied: questions by nDCG@10, long documents by Recall@10, as our own measures give them."""

import numpy as np
import pytest

from quarry.indexer.errors import CorpusError
from quarry.retriever.benchmark.run import run_benchmark
from quarry.retriever.benchmark.tasks.air_bench import find_air_bench, is_air_bench
from quarry.retriever.benchmark.tasks.choices import chosen
from quarry.retriever.evaluation.measures import ndcg, recall
from tests.fakes import WordEmbedder
from tests.retriever.benchmark.native_data import search, write_jsonl, write_parquet

pytest.importorskip("mteb")


def rows(seed):
    corpus, queries, qrels = search(seed)
    return (
        [{"id": row["_id"], "text": row["text"]} for row in corpus],
        [{"id": row["_id"], "text": row["text"]} for row in queries],
        [{"qid": row["query-id"], "docid": row["corpus-id"], "relevance": row["score"]} for row in qrels],
    )


@pytest.fixture
def copies(tmp_path):
    corpus, queries, qrels = rows(1)
    folder = tmp_path / "qa_wiki_en" / "AIR-Bench_24.04" / "default"
    write_jsonl(folder / "corpus_0.jsonl", corpus[:20])
    write_jsonl(folder / "corpus_1.jsonl", corpus[20:])
    write_jsonl(folder / "queries_0.jsonl", queries)
    write_jsonl(tmp_path / "qrels-qa_wiki_en-dev" / "AIR-Bench_24.04" / "default" / "qrels_dev.jsonl", qrels)
    write_jsonl(
        tmp_path / "qa_wiki_en" / "AIR-Bench_23.01" / "default" / "corpus_0.jsonl", [{"id": "old", "text": "old"}]
    )
    for number, name in enumerate(("gpt3", "llama2"), start=2):
        corpus, queries, qrels = rows(number)
        folder = tmp_path / "AIR-Bench" / "long-doc_arxiv_en" / "AIR-Bench_24.04"
        write_parquet(folder / f"corpus_{name}-00000-of-00001.parquet", corpus)
        write_parquet(folder / f"queries_{name}-00000-of-00001.parquet", queries)
        write_jsonl(folder / f"qrels_{name}_dev.jsonl", qrels)
    return tmp_path


def own_scores(seed, measure):
    corpus, queries, qrels = rows(seed)
    model = WordEmbedder()
    scores = model.embed_queries([q["text"] for q in queries]) @ model.embed_documents([d["text"] for d in corpus]).T
    found = []
    for number, query in enumerate(queries):
        grades = {row["docid"]: row["relevance"] for row in qrels if row["qid"] == query["id"]}
        if grades:
            order = np.argsort(-scores[number], kind="stable")
            found.append(measure([corpus[place]["id"] for place in order], grades, 10))
    return np.mean(found)


def test_every_data_set_is_found_with_its_measure_and_language(copies):
    found = find_air_bench(copies)
    assert [(task.name, task.measure) for task in found] == [
        ("AIR-Bench-qa_wiki_en", "ndcg_at_10"),
        ("AIR-Bench-long-doc_arxiv_en-gpt3", "recall_at_10"),
        ("AIR-Bench-long-doc_arxiv_en-llama2", "recall_at_10"),
    ]
    assert [task.name for task in find_air_bench(copies, "qa")] == ["AIR-Bench-qa_wiki_en"]
    assert len(chosen("AIR-Bench", copies).choices) == 3
    assert len(chosen("AIR-Bench:long-doc,qa_wiki_en", copies).choices) == 3


def test_scores_are_those_of_our_own_measures(copies, tmp_path):
    found = {r.task: r for r in run_benchmark(WordEmbedder(), find_air_bench(copies), tmp_path / "into")}
    qa = found["AIR-Bench-qa_wiki_en"]
    assert (qa.score, qa.measure, qa.size) == (
        pytest.approx(own_scores(1, ndcg), abs=1e-4),
        "ndcg_at_10",
        "25 queries, 60 documents",
    )
    long = found["AIR-Bench-long-doc_arxiv_en-llama2"]
    assert (long.score, long.measure) == (pytest.approx(own_scores(3, recall), abs=1e-4), "recall_at_10")
    assert qa.languages == ("eng-Latn",)


def test_other_folders_are_not_taken_for_it_and_an_incomplete_one_is_named(tmp_path):
    (tmp_path / "qa_news_zh").mkdir()
    assert is_air_bench(tmp_path / "qa_news_zh")
    assert not is_air_bench(tmp_path / "none_en")
    with pytest.raises(CorpusError, match="has no data set qa of AIR-Bench with corpus, queries and judgements"):
        find_air_bench(tmp_path, "qa")
