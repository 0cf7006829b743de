"""Small data sets in the layouts in which mteb's tasks are published, made from words."""

import json
from pathlib import Path

import numpy as np

WORDS = [f"word{number}" for number in range(40)]


def write_jsonl(path: Path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_parquet(path: Path, rows) -> None:
    from datasets import Dataset

    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(list(rows)).to_parquet(path)


def sentence(rng, words=WORDS, count=4) -> str:
    return " ".join(rng.choice(words, count))


def classification(seed, count, labels=3):
    rng = np.random.default_rng(seed)
    return [
        {"text": sentence(rng, WORDS[label * 8 : label * 8 + 12]), "label": label}
        for label in rng.integers(0, labels, count).tolist()
    ]


def pairs(seed, count):
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        left = sentence(rng)
        right = " ".join([*left.split()[: number % 5], sentence(rng, count=2)])
        rows.append((left, right, number % 5))
    return rows


def sts(seed, count):
    return [{"sentence1": a, "sentence2": b, "score": float(c)} for a, b, c in pairs(seed, count)]


def search(seed, documents=60, queries=25):
    rng = np.random.default_rng(seed)
    corpus = [
        {"_id": f"d{n}", "title": sentence(rng, count=1), "text": sentence(rng, count=6)} for n in range(documents)
    ]
    asked = [{"_id": f"q{n}", "text": " ".join(corpus[n]["text"].split()[:3])} for n in range(queries)]
    asked.append({"_id": "unjudged", "text": "nobody"})
    qrels = [{"query-id": f"q{n}", "corpus-id": f"d{n}", "score": 2} for n in range(queries)]
    qrels += [{"query-id": f"q{n}", "corpus-id": f"d{n + 7}", "score": n % 2} for n in range(queries)]
    return corpus, asked, qrels


def old_reranking(seed, count=20):
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        query = sentence(rng)
        rows.append(
            {
                "query": query,
                "positive": [f"{query.split()[0]} {sentence(rng)}", f"{query.split()[1]} {sentence(rng)}"],
                "negative": [sentence(rng) for _ in range(4)] if number else [],
            }
        )
    return rows


def cluster_sets(seed, sets=3, count=40):
    return [
        {"sentences": [row["text"] for row in rows], "labels": [row["label"] for row in rows]}
        for rows in (classification(seed + number, count) for number in range(sets))
    ]


def summaries(seed, count=24):
    rng = np.random.default_rng(seed)
    return [
        {
            "text": sentence(rng, count=8),
            "human_summaries": [sentence(rng) for _ in range(3)],
            "machine_summaries": [sentence(rng) for _ in range(5)],
            "relevance": rng.uniform(1, 5, 5).tolist(),
        }
        for _ in range(count)
    ]


def translations(seed, count=40):
    """Pairs of sentences that share their last words; some are nearer to another's translation."""
    rng = np.random.default_rng(seed)
    lefts = [sentence(rng, count=3) for _ in range(count)]
    return [
        {"sentence1": left, "sentence2": f"{sentence(rng, count=2)} {left.split()[2]} {left.split()[1]}"}
        for left in lefts
    ]


def articles(seed, count=60):
    rng = np.random.default_rng(seed)
    return [
        {"text": row["text"], "summary": "s", "topic": f"topic {row['label']}", "url": "u", "title": sentence(rng, count=1), "date": "d"}
        for row in classification(seed, count)
    ]  # fmt: skip  # a row


def write_everything(base: Path) -> Path:
    """Write one data set of each kind, in several layouts, below a folder."""
    corpus, queries, qrels = search(1)
    write_jsonl(base / "mteb" / "T2Retrieval" / "corpus.jsonl", corpus)
    write_jsonl(base / "mteb" / "T2Retrieval" / "queries.jsonl", queries)
    write_jsonl(base / "mteb" / "T2Retrieval" / "qrels" / "dev.jsonl", qrels)
    corpus, queries, qrels = search(2)  # parquet, with a README that says which file is what
    folder = base / "nfcorpus"
    write_parquet(folder / "one" / "a-00000-of-00002.parquet", corpus[:30])
    write_parquet(folder / "one" / "a-00001-of-00002.parquet", corpus[30:])
    write_parquet(folder / "two" / "b.parquet", queries)
    write_parquet(folder / "three" / "c.parquet", qrels)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: corpus\n  data_files:\n  - split: test\n    path: one/*\n"
        "- config_name: queries\n  data_files:\n  - split: test\n    path: two/*\n"
        "- config_name: default\n  data_files:\n  - split: test\n    path: three/*\n---\n# NFCorpus\n"
    )
    corpus, queries, _ = search(3)  # C-MTEB's older layout: judgements as a data set of their own
    folder = base / "MedicalRetrieval"
    write_parquet(
        folder / "data" / "corpus-00000-of-00001-abcdef0123.parquet",
        [{"id": d["_id"], "text": d["text"]} for d in corpus],
    )
    write_parquet(
        folder / "data" / "queries-00000-of-00001.parquet", [{"id": q["_id"], "text": q["text"]} for q in queries]
    )
    write_parquet(
        base / "MedicalRetrieval-qrels" / "data" / "dev-00000-of-00001.parquet",
        [{"qid": f"q{n}", "pid": f"d{n}", "score": 1} for n in range(25)],
    )
    write_jsonl(base / "T2Reranking" / "dev.jsonl", old_reranking(4))
    corpus, queries, qrels = search(5)
    folder = base / "SciDocsRR"
    write_jsonl(folder / "corpus" / "test.jsonl", corpus)
    write_jsonl(folder / "queries" / "test.jsonl", queries)
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{q['query-id']}\t{q['corpus-id']}\t{q['score']}\n" for q in qrels)
    )
    write_jsonl(
        folder / "top_ranked" / "test.jsonl",
        [
            {"query-id": f"q{n}", "corpus-ids": [f"d{(n + step) % 60}" for step in (0, 7, 11, 13, 17)]}
            for n in range(25)
        ],
    )
    write_parquet(base / "C-MTEB" / "CLSClusteringS2S" / "data" / "test-00000-of-00001.parquet", cluster_sets(6))
    write_jsonl(base / "twentynewsgroups-clustering" / "test.jsonl", cluster_sets(7, sets=2))
    write_jsonl(base / "stsbenchmark-sts" / "test.jsonl", sts(8, 60))
    write_jsonl(base / "STS22" / "data" / "zh" / "test.jsonl", [{**row, "lang": "zh"} for row in sts(9, 30)])
    write_jsonl(
        base / "STS17" / "test.jsonl", [{**r, "lang": "en-en" if n % 2 else "ko-ko"} for n, r in enumerate(sts(10, 60))]
    )
    write_parquet(
        base / "OCNLI" / "data" / "validation-00000-of-00001.parquet",
        [{"sent1": [a for a, _, _ in pairs(11, 50)], "sent2": [b for _, b, _ in pairs(11, 50)],
          "labels": [int(c > 2) for _, _, c in pairs(11, 50)]}],
    )  # fmt: skip  # one row that holds all pairs
    write_jsonl(base / "banking77" / "train.jsonl", classification(12, 200))
    write_jsonl(base / "banking77" / "test.jsonl", classification(13, 80))
    for split, seed, count in (("train", 14, 200), ("validation", 15, 60)):
        write_parquet(base / "datasets--C-MTEB--TNews-classification" / "snapshots" / "abc" / "data" /
                      f"{split}-00000-of-00001.parquet", classification(seed, count))  # fmt: skip  # a path
    for split, seed, count in (("train", 16, 120), ("test", 17, 40)):
        write_jsonl(base / "amazon_counterfactual" / "en" / f"{split}.jsonl", classification(seed, count, labels=2))
    write_jsonl(base / "summeval" / "test.jsonl", summaries(18))
    write_jsonl(base / "tatoeba-bitext-mining" / "test" / "cmn-eng.jsonl", translations(19))
    for split, seed in (("train", 20), ("validation", 21), ("test", 22)):
        write_parquet(base / "mlsum" / "fr" / f"{split}-00000-of-00001.parquet", articles(seed))
    corpus, queries, _ = search(23)
    folder = base / "lyon-nlp" / "mteb-fr-retrieval-syntec-s2p"
    documents = [
        {"id": n, "url": "u", "title": d["title"], "section": "", "content": d["text"]} for n, d in enumerate(corpus)
    ]
    write_parquet(folder / "documents" / "test-00000-of-00001.parquet", documents)
    write_parquet(
        folder / "queries" / "test-00000-of-00001.parquet",
        [{"Question": q["text"], "Article": str(n)} for n, q in enumerate(queries[:25])],
    )
    return base
