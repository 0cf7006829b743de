"""Local data as mteb tasks, scored as the C-MTEB paper does: kind of task to mteb's class, columns and main measure.

    Retrieval            nDCG@10         ndcg_at_10
    Reranking            MAP             map_at_1000 (all candidates)
    STS                  Spearman        cosine_spearman
    Classification       accuracy        of logistic regression on 32 rows per label, mean of 10 draws
    PairClassification   AP              cosine_ap
    Clustering           v-measure       v_measure of mini-batch k-means, batch 500, as many clusters as labels
    BitextMining         F1              f1 (not in C-MTEB)

Paper: Xiao et al. 2023, "C-Pack: Packed Resources For General Chinese Embeddings"; measures and protocol of the task classes
are mteb's own.
"""

from typing import Any

from quarry.retriever.benchmark.tasks.search_data import SearchData
from quarry.retriever.benchmark.tasks.task_data import Kind, RowData, languages_of, texts_of_row

TaskData = RowData | SearchData

MAIN_SCORES: dict[Kind, str] = {
    "Retrieval": "ndcg_at_10",
    "Reranking": "map_at_1000",
    "STS": "cosine_spearman",
    "Classification": "accuracy",
    "PairClassification": "cosine_ap",
    "Clustering": "v_measure",
    "BitextMining": "f1",
}
_SAMPLES_PER_LABEL = 32  # as C-MTEB's classification tasks


def task_name(data: TaskData) -> str:
    """Return the task's name; a sample carries its size, so that its figure is never taken for that of the whole."""
    if not data.sampled:
        return data.choice.name
    return f"{data.choice.name}-sample{len(data.rows) if isinstance(data, RowData) else len(data.queries)}"


def mteb_task(data: TaskData) -> Any:
    """Return a loaded mteb task that never asks the network.

    Args:
        data: What is scored.
    """
    from mteb.abstasks import (
        AbsTaskBitextMining,
        AbsTaskClassification,
        AbsTaskClusteringLegacy,
        AbsTaskPairClassification,
        AbsTaskRetrieval,
        AbsTaskSTS,
    )

    classes: dict[Kind, Any] = {
        "Retrieval": AbsTaskRetrieval,
        "Reranking": AbsTaskRetrieval,
        "STS": AbsTaskSTS,
        "Classification": AbsTaskClassification,
        "PairClassification": AbsTaskPairClassification,
        "Clustering": AbsTaskClusteringLegacy,
        "BitextMining": AbsTaskBitextMining,
    }
    kind = data.choice.kind
    attributes: dict[str, Any] = {"metadata": _metadata(data)}
    if kind == "Classification":
        attributes["samples_per_label"] = _SAMPLES_PER_LABEL
    made = type(f"Local{kind}", (classes[kind],), attributes)()
    made.dataset = _dataset(data)
    made.data_loaded = True
    return made


def _metadata(data: TaskData) -> Any:
    from mteb.abstasks.task_metadata import TaskMetadata

    texts = (
        [text for row in data.rows for text in texts_of_row(row)]
        if isinstance(data, RowData)
        else [query.text for query in data.queries] + [document.text for document in data.documents]
    )
    kind = data.choice.kind
    return TaskMetadata(
        name=task_name(data),
        description=f"{kind} on the local data set {data.choice.folder.resolve().name}: {data.size}.",
        dataset={"path": f"local/{data.choice.folder.resolve().name}", "revision": data.digest},
        type=kind,
        category="t2c" if kind in ("Classification", "Clustering") else "t2t",
        modalities=["text"],
        eval_splits=[data.split],
        eval_langs=languages_of(texts),
        main_score=MAIN_SCORES[kind],
    )


def _dataset(data: TaskData) -> Any:
    from datasets import Dataset

    if isinstance(data, SearchData):
        return {"default": {data.split: _retrieval_split(data)}}
    kind = data.choice.kind
    if kind == "Classification":
        labels = sorted({str(row["label"]) for row in (*data.rows, *data.train)})
        number = {label: place for place, label in enumerate(labels)}
        return {
            name: Dataset.from_dict(
                {"text": [row["text"] for row in rows], "label": [number[str(row["label"])] for row in rows]}
            )
            for name, rows in ((data.split, data.rows), ("train", data.train))
        }
    if kind == "Clustering":
        columns = {"sentences": [[row["text"] for row in data.rows]], "labels": [[row["label"] for row in data.rows]]}
        return {data.split: Dataset.from_dict(columns)}
    renamed = {"label": "labels"}  # mteb's name for the labels of pairs
    names = list(data.rows[0])
    return {
        data.split: Dataset.from_dict({renamed.get(name, name): [row[name] for row in data.rows] for name in names})
    }


def _retrieval_split(data: SearchData) -> dict[str, Any]:
    from datasets import Dataset

    return {
        "corpus": Dataset.from_dict(
            {
                "id": [document.doc_id for document in data.documents],
                "title": [document.title for document in data.documents],
                "text": [document.text for document in data.documents],
            }
        ),
        "queries": Dataset.from_dict(
            {"id": [query.query_id for query in data.queries], "text": [query.text for query in data.queries]}
        ),
        "relevant_docs": {query_id: dict(grades) for query_id, grades in data.qrels.items()},
        "top_ranked": {query_id: list(ids) for query_id, ids in data.candidates.items()} or None,
    }
