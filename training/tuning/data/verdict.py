"""The queries of the verdict, and what they are asked of: the index, or passages of the files when the index answers too few.

A model is best judged by what its index finds. Pairs about documents that are not indexed have no place there, so their held-out
queries are asked of the passages that came with them: positives of the files, and `corpus.jsonl` of BEIR folders.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from quarry.indexer.errors import FeedbackError
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.storage.files.durable import write_atomic
from quarry.retriever.data.datasets import Dataset, load_dataset
from quarry.retriever.evaluation.compare import MINIMUM_QUERIES
from quarry.training.examples.example import Example, text_key
from quarry.training.examples.files import read_pool
from quarry.training.examples.held_out import HeldOut, Places, held_out
from quarry.training.examples.rows import write_beir
from quarry.training.tuning.plan import DataSpec, TuningObserver

MOST_PASSAGES = 2_000  # beside the held-out queries' own: encoding them takes both models a minute on a slow core
_CORPUS = "corpus.jsonl"


def judged_queries(folder: Path, index: Index, *, index_only: bool) -> Dataset:
    """Read the judged queries that the verdict is to be about.

    Args:
        folder: A BEIR folder.
        index: The live index.
        index_only: Whether only the index can answer them, as for a second stage.

    Returns:
        The data set; its `corpus_path` is None where the index answers, else the folder's own corpus.

    Raises:
        CorpusError: If the folder cannot be read.
        FeedbackError: If nothing holds a relevant document.
    """
    dataset = load_dataset(folder)
    known = set(index.chunks.doc_ids())
    if any(grade > 0 and name in known for grades in dataset.qrels.values() for name, grade in grades.items()):
        return replace(dataset, corpus_path=None)
    if dataset.corpus_path is not None and not index_only:
        return dataset
    raise FeedbackError(
        "tuning.judged_nowhere",
        "none of the {count} judged queries of {folder} has a relevant document in {index}",
        expected="at least one, because a model is judged by what the index finds",
        do="Index the documents, or choose other queries with --evaluate",
        count=len(dataset.queries),
        folder=folder,
        index=index.root,
    )


def write_held_out(
    folder: Path, examples: Sequence[Example], index: Index, passages: Sequence[str], spec: DataSpec
) -> tuple[int, int]:
    """Write the held-out queries as a BEIR folder, with a corpus of its own where the index answers too few of them.

    Args:
        folder: Where to.
        examples: The held-out examples.
        index: The live index.
        passages: Passages that came with the files; at most `MOST_PASSAGES` of them, drawn by the seed, stand beside the answers.
        spec: Says whether only the index can answer them, and has the seed of the draw.

    Returns:
        How many queries were left out because nothing answers them, and how many passages the corpus has; 0 for the index.

    Raises:
        FeedbackError: If nothing answers any of them, or the folder cannot be written.
    """
    places = Places(index)
    inside = {one.query_id for one in examples if places.documents(one)}
    own = () if spec.index_only or len(inside) >= MINIMUM_QUERIES else _own(examples, passages)
    if len({one.query_id for one in own}) <= len(inside):
        found = held_out(examples, places)
        _write_queries(folder, found)
        return len(found.nowhere), 0
    texts = _corpus(own, passages, spec.seed)
    names = {text_key(text): f"p{number}" for number, text in enumerate(texts)}
    grades: dict[str, dict[str, int]] = {}
    queries = {one.query_id: one.row.query for one in own}
    for one in own:
        grades.setdefault(queries[one.query_id], {}).update({names[text_key(text)]: 1 for text in one.row.pos})
    write_beir(folder, grades)
    lines = (
        json.dumps({"_id": f"p{n}", "title": "", "text": text}, ensure_ascii=False) for n, text in enumerate(texts)
    )
    write_atomic(folder / _CORPUS, "".join(f"{line}\n" for line in lines).encode())
    return 0, len(texts)


def _own(examples: Sequence[Example], passages: Sequence[str]) -> tuple[Example, ...]:
    """Return the examples that came from files: their positives stand among the passages, as they are."""
    known = {text_key(text) for text in passages}
    return tuple(one for one in examples if any(text_key(text) in known for text in one.row.pos))


def _corpus(examples: Sequence[Example], passages: Sequence[str], seed: int) -> list[str]:
    answers = {text_key(text): text for one in examples for text in one.row.pos}
    others = {text_key(text): text for text in passages}
    rest = [text for key, text in others.items() if key not in answers]
    rows = np.random.default_rng(seed).permutation(len(rest))[:MOST_PASSAGES]
    return [*answers.values(), *(rest[row] for row in sorted(rows))]


def folder_passages(pairs: Sequence[Path]) -> tuple[str, ...]:
    """Return the passages of the BEIR folders among the sources, whether a query asks for them or not.

    Raises:
        FeedbackError: If a corpus cannot be read.
    """
    found = (path / _CORPUS for path in pairs if (path / "qrels").is_dir())
    return tuple(text for path in found if path.is_file() for text in read_pool(path))


def _write_queries(folder: Path, found: HeldOut) -> None:
    texts = {query.query_id: query.text for query in found.dataset.queries}
    write_beir(folder, {texts[name]: grades for name, grades in found.dataset.qrels.items()})


def tell(count: int, passages: int, watch: TuningObserver) -> None:
    """Say what the verdict will be about, and whether it can be one at all.

    Args:
        count: How many queries were held out.
        passages: How many passages they are asked of; 0 for the index.
        watch: Receives the notices.
    """
    if passages:
        watch.stage(
            Message.of(
                "tuning.own_passages",
                "the index does not hold the passages of these pairs: the {count:held-out query is|held-out queries are} asked of "
                "{passages:passage|passages} of the files instead",
                count=count,
                passages=passages,
            )
        )
    if count < MINIMUM_QUERIES:
        watch.stage(
            Message.of(
                "tuning.verdict_impossible",
                "{count:query is|queries are} held out, and a verdict needs {least}: the model will be refused",
                do="Give more pairs, or judged queries with --evaluate",
                count=count,
                least=MINIMUM_QUERIES,
            )
        )
