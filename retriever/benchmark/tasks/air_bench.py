"""AIR-Bench's data (24.04, 24.05) as mteb retrieval tasks: question answering by nDCG@10, long documents by Recall@10.

A local copy of one of its repositories, named by task, domain and language, with the judgements beside it or in it:

    qa_wiki_en/AIR-Bench_24.04/default/corpus_0.jsonl  queries_0.jsonl        {"id", "text"}
    long-doc_arxiv_en/AIR-Bench_24.04/gpt3/corpus.jsonl  queries.jsonl          one data set per text
    qrels-qa_wiki_en-dev/AIR-Bench_24.04/default/qrels_dev.jsonl              {"qid", "docid", "relevance"}

Names such as `corpus_default.jsonl` and `qrels_default_dev.parquet`, which carry the data set, are read as well.
Paper: Chen et al. 2024, "AIR-Bench: Automated Heterogeneous Information Retrieval Benchmark" (arXiv 2412.13102).
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from quarry.indexer.errors import CorpusError
from quarry.retriever.benchmark.tasks.local_copy import need_columns, read_table
from quarry.retriever.benchmark.tasks.task_data import languages_of

AIR_BENCH = "AIR-Bench"
_FOLDER = re.compile(r"(?:AIR-Bench__)?(qa|long-doc)_([a-z0-9-]+)_([a-z]{2})", re.IGNORECASE)
_PART = re.compile(r"(corpus|queries|qrels)(?:[-_](.+?))?(?:[-_]\d+)?(?:-of-\d+)?", re.IGNORECASE)
_SPLITS = ("dev", "test")
_VERSION = "AIR-Bench_"
_DEFAULT = "default"
_CODES = {"zh": "cmn-Hans", "en": "eng-Latn", "ar": "ara-Arab", "bn": "ben-Beng", "de": "deu-Latn", "es": "spa-Latn",
          "fa": "fas-Arab", "fr": "fra-Latn", "hi": "hin-Deva", "id": "ind-Latn", "ja": "jpn-Jpan", "ko": "kor-Hang",
          "ru": "rus-Cyrl"}  # fmt: skip  # a table


@dataclass(frozen=True, slots=True)
class AirTask:
    """One of AIR-Bench's data sets.

    Attributes:
        folder: Of its repository.
        task: `qa` or `long-doc`.
        domain: Such as `wiki`.
        language: Two letters.
        dataset: Its own name, `default` where the repository holds one.
        files: `corpus`, `queries` and `qrels` to their files.
    """

    folder: Path
    task: str
    domain: str
    language: str
    dataset: str
    files: Mapping[str, Sequence[Path]]

    @property
    def name(self) -> str:
        """`AIR-Bench-qa_wiki_en`, with the data set's own name behind it where it has one."""
        own = "" if self.dataset == _DEFAULT else f"-{self.dataset}"
        return f"{AIR_BENCH}-{self.task}_{self.domain}_{self.language}{own}"

    @property
    def kind(self) -> str:
        """Mteb's kind of task."""
        return "Retrieval"

    @property
    def measure(self) -> str:
        """nDCG@10 for questions, Recall@10 for long documents, as AIR-Bench's leaderboard ranks."""
        return "ndcg_at_10" if self.task == "qa" else "recall_at_10"


def is_air_bench(folder: Path) -> bool:
    """Tell whether a folder is named as one of AIR-Bench's repositories."""
    return folder.is_dir() and _FOLDER.fullmatch(folder.name) is not None


def find_air_bench(parent: Path, wanted: str = "") -> list[AirTask]:
    """Return AIR-Bench's data sets below a folder, by name.

    Args:
        parent: Holds the repositories, perhaps in a folder `AIR-Bench`.
        wanted: `qa`, `long-doc`, or the name of a repository or data set; empty for all.

    Raises:
        CorpusError: If there is none.
    """
    found = []
    for folder in (parent, parent / AIR_BENCH):
        for child in sorted(folder.iterdir()) if folder.is_dir() else []:
            if is_air_bench(child):
                found += air_tasks(child)
    chosen = [task for task in found if wanted in ("", task.task, task.folder.name, task.name)]
    if not chosen:
        raise CorpusError(
            "benchmark.no_air_bench",
            "{parent} has no data set {wanted} of AIR-Bench with corpus, queries and judgements",
            expected="folders such as qa_wiki_en and qrels-qa_wiki_en-dev",
            do="Copy them there as the hub publishes them",
            parent=parent,
            wanted=wanted or AIR_BENCH,
        )
    return chosen


def air_tasks(folder: Path) -> list[AirTask]:
    """Return the data sets of one repository that have a corpus, queries and judgements."""
    named = _FOLDER.fullmatch(folder.name)
    if named is None:
        return []
    parts: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    beside = sorted(folder.parent.glob(f"qrels-{folder.name}*"))
    for root in (folder, *beside):
        for path in _of_newest(root):
            if part := _part(path.relative_to(root), of_qrels=root != folder):
                parts[part[1]][part[0]].append(path)
    task, domain, language = (text.lower() for text in named.groups())
    whole = ("corpus", "queries", "qrels")
    return [
        AirTask(folder, task, domain, language, name, {part: tuple(files[part]) for part in whole})
        for name, files in sorted(parts.items())
        if all(files.get(part) for part in whole)
    ]


def air_task(choice: AirTask) -> Any:
    """Return a loaded mteb task.

    Raises:
        CorpusError: If a file cannot be read or lacks a column.
    """
    from datasets import Dataset
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    corpus, queries = (_texts(choice, part) for part in ("corpus", "queries"))
    relevant: dict[str, dict[str, int]] = {}
    for row in _rows(choice, "qrels", ("qid", "docid", "relevance")):
        relevant.setdefault(str(row["qid"]), {})[str(row["docid"])] = int(row["relevance"])
    kept = {key: text for key, text in queries.items() if key in relevant}
    if not kept:
        raise CorpusError(
            "benchmark.no_judged_query",
            "{folder}: no query of {task} is judged",
            expected="judgements of its queries",
            do="Copy the judgements of the same version",
            folder=choice.folder,
            task=choice.name,
        )
    digest = sha256(repr((sorted(corpus.items()), sorted(kept.items()), sorted(relevant))).encode()).hexdigest()[:16]
    metadata = TaskMetadata(
        name=choice.name,
        description=f"AIR-Bench, {choice.task}, {choice.domain}: {len(kept)} queries, {len(corpus)} documents.",
        dataset={"path": f"AIR-Bench/{choice.folder.name}", "revision": digest},
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=["dev"],
        eval_langs=[_CODES[choice.language]] if choice.language in _CODES else languages_of(list(kept.values())),
        main_score=choice.measure,
    )
    task = type("AirBench", (AbsTaskRetrieval,), {"metadata": metadata})()
    task.dataset = {
        "default": {
            "dev": {
                "corpus": Dataset.from_dict(
                    {"id": list(corpus), "title": [""] * len(corpus), "text": list(corpus.values())}
                ),
                "queries": Dataset.from_dict({"id": list(kept), "text": list(kept.values())}),
                "relevant_docs": {key: grades for key, grades in relevant.items() if key in kept},
                "top_ranked": None,
            }
        }
    }
    task.data_loaded = True
    return task


def _of_newest(root: Path) -> list[Path]:
    """Return the files of a repository, of the newest version where it holds several."""
    newest = max((child.name for child in root.iterdir() if child.name.startswith(_VERSION)), default="")
    return [path for path in sorted((root / newest).rglob("*")) if path.is_file()]


def _part(relative: Path, *, of_qrels: bool) -> tuple[str, str] | None:
    """Return what a file holds and the data set's name: of `default/corpus_0.jsonl`, `corpus` and `default`."""
    stem = relative.name.removesuffix(".gz").rpartition(".")[0]
    found = _PART.fullmatch(stem)
    if found is None or not relative.name.removesuffix(".gz").endswith((".jsonl", ".json", ".parquet")):
        return None
    part, own = found[1].lower(), found[2] or ""
    for split in _SPLITS:
        own = "" if own == split else own.removesuffix(f"_{split}").removesuffix(f"-{split}")
    if own.isdigit():
        own = ""
    folders = [name for name in relative.parts[:-1] if not name.startswith(_VERSION) and name != "data"]
    if of_qrels and part != "qrels":
        return None
    return part, (own or (folders[-1] if folders else _DEFAULT)).replace("_", "-")


def _texts(choice: AirTask, part: str) -> dict[str, str]:
    return {str(row["id"]): str(row["text"]) for row in _rows(choice, part, ("id", "text"))}


def _rows(choice: AirTask, part: str, needed: tuple[str, ...]) -> Sequence[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    for path in choice.files[part]:
        table = read_table(path)
        need_columns(choice.folder, table.column_names, needed, path.name)
        rows.extend(table)
    return rows
