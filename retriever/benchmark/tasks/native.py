"""mteb's own tasks on a local copy of their data: the tables go to where mteb's loaders put them, and mteb does the rest.

    retrieval, reranking   corpus, queries, qrels (the configuration `default` or `qrels`), top_ranked; a subset's are `en-corpus` ...
    older reranking        rows of query, positive and negative
    a loader of its own    as the task's class reads them (`quarry.retriever.benchmark.tasks.own_loading`)
    everything else        one table per split, per subset where the task has subsets (or one table with a column `lang`)

The task's class, its `dataset_transform` and its measures are mteb's, so scores are what mteb itself gives for these files.
"""

from pathlib import Path
from typing import Any

from quarry.retriever.benchmark.tasks.local_copy import LocalCopy, need_columns
from quarry.retriever.benchmark.tasks.own_loading import load_its_own_way, loads_its_own_way

_OLD_RERANKING = {"query", "positive", "negative"}
_QREL_COLUMNS = ("query-id", "corpus-id", "score")
_OTHER_QREL_COLUMNS = {"qid": "query-id", "pid": "corpus-id", "docid": "corpus-id", "relevance": "score"}


def find_copy(parent: Path, task: Any) -> Path | None:
    """Return the folder below `parent` that holds a task's data; None when there is none.

    It may be named as the task, as the data set on the hub (`mteb/banking77`, `mteb__banking77` or `banking77`), or lie as in the
    hub's cache (`datasets--mteb--banking77/snapshots/REVISION`). Case does not matter.
    """
    dataset = str(task.metadata.dataset["path"])
    organization, _, name = dataset.rpartition("/")
    flat = {task.metadata.name.casefold(), name.casefold(), f"{organization}__{name}".casefold()}
    cached = f"datasets--{organization}--{name}".casefold()
    folders = [child for child in sorted(parent.iterdir()) if child.is_dir()] if parent.is_dir() else []
    for child in folders:
        if child.name.casefold() in flat:
            return child
    for child in folders:
        if child.name.casefold() == organization.casefold():
            inside = [
                path for path in sorted(child.iterdir()) if path.name.casefold() == name.casefold() and path.is_dir()
            ]
            if inside:
                return inside[0]
        if child.name.casefold() == cached:
            return _snapshot(child, str(task.metadata.dataset.get("revision", "")))
    return None


def load_copy(task: Any, folder: Path) -> LocalCopy:
    """Give a task its data from a local copy.

    Args:
        task: An mteb task without data.
        folder: The copy.

    Raises:
        CorpusError: If a table or a column is missing, or a file cannot be read; it is named.
    """
    from mteb.abstasks import AbsTaskRetrieval

    copy = LocalCopy(folder)
    if loads_its_own_way(task):
        load_its_own_way(task, copy)
        return copy
    if isinstance(task, AbsTaskRetrieval):
        searches: Any = {
            subset: {split: _search_split(copy, subset, split) for split in task.eval_splits}
            for subset in task.hf_subsets
        }
        task.dataset = searches
    elif task.metadata.is_multilingual:
        task.dataset = {subset: _splits(copy, subset, task) for subset in task.hf_subsets}
    else:
        task.dataset = _splits(copy, "default", task)
    task.dataset_transform(num_proc=None)
    task.data_loaded = True
    return copy


def _snapshot(cached: Path, revision: str) -> Path | None:
    snapshots = cached / "snapshots"
    if (snapshots / revision).is_dir():
        return snapshots / revision
    found = sorted(path for path in snapshots.iterdir() if path.is_dir()) if snapshots.is_dir() else []
    return found[-1] if found else None


def _splits(copy: LocalCopy, subset: str, task: Any) -> Any:
    """Return a `DatasetDict` of all splits, those that the task scores at least."""
    from datasets import DatasetDict

    own = copy.splits(subset)
    wanted = dict.fromkeys((*task.eval_splits, *own))
    if own or subset == "default":
        return DatasetDict({split: copy.table(subset, split) for split in wanted})
    merged = {
        split: copy.table("default", split) for split in dict.fromkeys((*task.eval_splits, *copy.splits("default")))
    }
    return DatasetDict({split: _of_language(copy, table, subset) for split, table in merged.items()})


def _of_language(copy: LocalCopy, table: Any, subset: str) -> Any:
    need_columns(copy.folder, table.column_names, ("lang",), subset)
    places = [place for place, language in enumerate(table["lang"]) if language == subset]
    return table.select(places).remove_columns("lang")


def _search_split(copy: LocalCopy, subset: str, split: str) -> dict[str, Any]:
    """Return one split of a retrieval task as mteb's `RetrievalSplitData`."""
    judged = _qrel_table(copy, subset, split)
    if set(judged.column_names) >= _OLD_RERANKING:
        return _from_old_reranking(judged, split)
    corpus = _with_ids(copy, copy.table(_config(copy, subset, "corpus", split), split))
    queries = _with_ids(copy, copy.table(_config(copy, subset, "queries", split), split))
    relevant = _relevant(copy, judged)
    kept = [place for place, query_id in enumerate(queries["id"]) if query_id in relevant]
    ranked = _config(copy, subset, "top_ranked", split)
    return {
        "corpus": corpus,
        "queries": queries.select(kept),
        "relevant_docs": relevant,
        "top_ranked": _top_ranked(copy, copy.table(ranked, split)) if copy.has(ranked, split) else None,
    }


def _config(copy: LocalCopy, subset: str, what: str, split: str) -> str:
    """Return the name of a part's configuration: `corpus`, or `en-corpus` for a subset; `query` is another name of `queries`."""
    names = [what] if subset == "default" else [f"{subset}-{what}"]
    if what == "queries":
        names.append(names[0].replace("queries", "query"))
    return next((name for name in names if copy.has(name, split)), names[0])


def _qrel_table(copy: LocalCopy, subset: str, split: str) -> Any:
    names = ("default", "qrels") if subset == "default" else (f"{subset}-qrels", subset)
    for name in names:
        if copy.has(name, split):
            return copy.table(name, split)
    beside = copy.folder.with_name(
        f"{copy.folder.name}-qrels"
    )  # C-MTEB publishes judgements as a data set of their own
    if beside.is_dir():
        return LocalCopy(beside).table("default", split)
    return copy.table(names[-1], split)


def _relevant(copy: LocalCopy, table: Any) -> dict[str, dict[str, int]]:
    renamed = table.rename_columns({old: new for old, new in _OTHER_QREL_COLUMNS.items() if old in table.column_names})
    need_columns(copy.folder, renamed.column_names, _QREL_COLUMNS, "qrels")
    found: dict[str, dict[str, int]] = {}
    for query_id, document_id, score in zip(*(renamed[name] for name in _QREL_COLUMNS), strict=True):
        found.setdefault(str(query_id), {})[str(document_id)] = int(float(score))
    return found


def _top_ranked(copy: LocalCopy, table: Any) -> dict[str, list[str]]:
    need_columns(copy.folder, table.column_names, ("query-id", "corpus-ids"), "top_ranked")
    return {
        str(query_id): [str(each) for each in ids]
        for query_id, ids in zip(table["query-id"], table["corpus-ids"], strict=True)
    }


def _with_ids(copy: LocalCopy, table: Any) -> Any:
    """Return a table with a text column `id`, which the hub's files call `_id`."""
    from datasets import Value

    if "_id" in table.column_names:
        table = table.rename_column("_id", "id")
    need_columns(copy.folder, table.column_names, ("id", "text"), "corpus")
    known = table.features["id"]
    return table if known == Value("string") else table.cast_column("id", Value("string"))


def _from_old_reranking(table: Any, split: str) -> dict[str, Any]:
    """Return rows of query, positive and negative as a search among the documents of each row.

    Ids are those of mteb's conversion of the older format, because they decide between equal scores.
    """
    from datasets import Dataset

    queries, corpus, relevant, ranked = [], [], {}, {}
    rows = [row for row in table if row["positive"] and row["negative"]]
    for number, row in enumerate(rows):
        query_id = f"{split}_query{number}"
        queries.append({"id": query_id, "text": row["query"]})
        grades = {}
        for name, grade, head in (("positive", 1, "apositive"), ("negative", 0, "negative")):
            for place, text in enumerate(row[name]):
                document_id = f"{head}_{query_id}_{place:05}"
                corpus.append({"title": "", "text": text, "id": document_id})
                grades[document_id] = grade
        relevant[query_id], ranked[query_id] = grades, list(grades)
    return {
        "corpus": Dataset.from_list(corpus),
        "queries": Dataset.from_list(queries),
        "relevant_docs": relevant,
        "top_ranked": ranked,
    }
