"""What a run trains on, chooses by and is judged by: gathered, split by query, mined, and kept in the run's folder.

    the log, files of pairs, documents, a language model -> examples     gather; synthetic_source
    -> train, dev and held-out examples                                  quarry.training.examples.split
    -> what the verdict's queries are asked of, checked before mining    verdict
    -> hard negatives out of the pools that they belong to               pools

The door is `tuning_data`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import FeedbackError
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.records import passage_text
from quarry.retriever.data.datasets import Dataset, documents, load_dataset
from quarry.training.examples.example import Example, text_key
from quarry.training.examples.near_duplicates import near_duplicates_between
from quarry.training.examples.reasons import Counts, counted, counts_from_json, counts_json
from quarry.training.examples.rows import TrainingRow, read_training_rows, write_training_rows
from quarry.training.examples.split import SAME_QUERY, check_no_leak, split_examples, traits_of
from quarry.training.feedback.judgements import query_key
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.negatives.mine import MinedSet
from quarry.training.negatives.report import mining_report
from quarry.training.negatives.report_page import write_report
from quarry.training.tuning.data.gather import gather
from quarry.training.tuning.data.pools import MiningPools
from quarry.training.tuning.data.verdict import folder_passages, judged_queries, tell, write_held_out
from quarry.training.tuning.plan import DataSpec, TuningObserver
from quarry.training.tuning.run import FOLDER as TUNING
from quarry.training.tuning.run import TuningRun
from quarry.training.tuning.steps import JUDGED_TEACH

DEV_QUERIES = 100
DEV_PASSAGES = 200  # beside the dev queries' own: so an evaluation is half a minute of the offline model on one core
LEAST = 10  # examples in all; fewer teach nothing that can be told from chance
_TRAIN, _DEV, _OTHERS, _HELD_OUT = "train.jsonl", "dev.jsonl", "dev-passages.json", "held-out"


TO_TRAIN = Message.of("tuning.to_train", "to train on")
TO_CHOOSE = Message.of("tuning.to_choose", "to choose by")
HELD_OUT = Message.of("tuning.held_out", "held out for the verdict")
NOT_FOUND = Message.of("tuning.not_found", "dropped because the model does not find their positive")
LIKE_JUDGED = Message.of("tuning.like_judged", "left out because they ask like a judged query")
NOWHERE = Message.of("tuning.nowhere", "held-out queries that the index has no answer to")
OWN = Message.of("tuning.own", "passages of the files that they are asked of, instead of the index")


@dataclass(frozen=True, slots=True)
class TuningData:
    """The three sides.

    Attributes:
        train: Rows with mined negatives.
        chosen_by: For early stopping and merging; None where the split has no dev side.
        held_out: For the verdict. Documents of the index, or of its own `corpus_path` where that is not None.
        counts: How many of each, and what was left out.
    """

    train: tuple[TrainingRow, ...]
    chosen_by: DevSet | None
    held_out: Dataset
    counts: Counts

    @property
    def dev(self) -> DevSet:
        """The dev side.

        Raises:
            ValueError: If there is none.
        """
        if self.chosen_by is None:
            raise ValueError("the data have no dev side; expected a split with one")
        return self.chosen_by


def tuning_data(index: Index, embedder: Embedder, spec: DataSpec, run: TuningRun, watch: TuningObserver) -> TuningData:
    """Make the data of a run, or read those that an interrupted run made.

    Args:
        index: The live index.
        embedder: Its model; filters pairs and mines negatives.
        spec: What the data are made of.
        run: Keeps the data in its folder.
        watch: Receives progress events.

    Raises:
        FeedbackError: If there are too few examples, or none of the held-out queries is answered by the index.
        CorpusError: If the data set for the verdict cannot be read.
        ModelError: If mining needs the model and it fails.
    """
    if run.begin_data():
        _make(index, embedder, spec, run, watch)
    return _read(index, spec, run)


def train_rows(run: TuningRun) -> tuple[TrainingRow, ...]:
    """Return the rows that a run trains on, out of its folder."""
    return tuple(read_training_rows(run.data / _TRAIN))


def _make(index: Index, embedder: Embedder, spec: DataSpec, run: TuningRun, watch: TuningObserver) -> None:
    judges = judged_queries(spec.evaluate, index, index_only=spec.index_only) if spec.evaluate else None
    found = gather(index, embedder, spec.sources, spec.split.seed, run.folder, watch)
    examples, left_out = found.examples, found.left_out
    judging = _as_examples(judges, index) if judges else ()
    clean, leaks = _without_leaks(examples, judging)
    if len(clean) < LEAST:
        raise _too_few(len(clean), left_out, leaks)
    shares = replace(spec.split, test=0.0) if judges else spec.split
    split = split_examples(
        clean, shares, trained_on=_trained_on(index) | (_taught(index) if spec.keep_taught else set())
    )
    nowhere, own = 0, 0
    if judges is None:
        came_along = () if spec.index_only else (*found.passages, *folder_passages(spec.sources.pairs))
        nowhere, own = write_held_out(run.data / _HELD_OUT, split.test, index, came_along, spec)
    tell(len(_held_out(index, spec, run).queries), own, watch)
    watch.stage(Message.of("tuning.mining", "mining negatives for {count:example|examples}", count=len(split.train)))
    chosen = split.dev[:DEV_QUERIES]
    held = {text_key(text) for example in (*split.test, *judging) for text in example.row.pos}
    passages = [text for text in found.passages if text_key(text) not in held]
    pools = MiningPools(index, embedder, [*split.train, *chosen], watch, passages=passages)
    if spec.sources.candidate_pool and not pools.beyond_index:
        watch.stage(
            Message.of(
                "tuning.pool_not_used",
                "the candidate pool is not used: negatives come from the index, which holds the passages of all pairs",
            )
        )
    elif spec.sources.candidate_pool and not spec.negatives.neighbours:
        watch.stage(
            Message.of(
                "tuning.pool_without_neighbours",
                "the candidate pool is not used: with a rank range of your own, negatives come from the model's ranking of the pairs' "
                "passages",
                do="Leave --range-for-sampling out to use it",
            )
        )
    mined, dev = pools.mine(split.train, spec.negatives), pools.mine(chosen, spec.negatives)
    others = pools.others(chosen, DEV_PASSAGES, spec.seed)
    rows = [_with_negatives(example.row, spec.dev_negatives) for example in dev.examples]
    _write(run, mined, rows, others)
    counts = {
        TO_TRAIN: len(mined.examples),
        TO_CHOOSE: len(rows),
        HELD_OUT: len(split.test),
        NOT_FOUND: len(mined.dropped),
        LIKE_JUDGED: leaks,
        **left_out,
    }
    counts |= {NOWHERE: nowhere, OWN: own}
    run.seal_data({"counts": counts_json(counts)})


def _too_few(count: int, left_out: Counts, leaks: int) -> FeedbackError:
    return FeedbackError(
        "tuning.too_few",
        "there are {count:example|examples}",
        expected="at least {least}",
        do="Judge more answers, or give pairs with --pairs or --mine-corpus. Left out: {left_out}",
        count=count,
        least=LEAST,
        left_out=counted({**left_out, LIKE_JUDGED: leaks}) or ["0"],
    )


def _trained_on(index: Index) -> set[str]:
    """Return the query keys that the live model and those before it were tuned on: it must not be judged by them."""
    keys: set[str] = set()
    lineage = index.manifest.lineage
    while lineage is not None:
        rows = index.root / TUNING / lineage.run / "data" / _TRAIN
        if rows.is_file():
            keys |= {query_key(row.query) for row in read_training_rows(rows)}
        lineage = lineage.before
    return keys


def _taught(index: Index) -> set[str]:
    """Return the query keys that the live query shift or search was learned from, held-out ones of its run too."""
    keys: set[str] = set()
    for newest in (index.manifest.query_shift, index.manifest.second_stage):
        facts = newest
        while facts is not None:
            run = TuningRun(index.root / TUNING / facts.run)
            if (run.data / _TRAIN).is_file() and run.asked_for().get("what") in JUDGED_TEACH:
                keys |= {query_key(row.query) for row in read_training_rows(run.data / _TRAIN)}
                held = run.data / _HELD_OUT
                keys |= {query_key(query.text) for query in load_dataset(held).queries} if held.is_dir() else set()
            facts = facts.before
    return keys


def _as_examples(dataset: Dataset, index: Index) -> tuple[Example, ...]:
    """The judged queries as examples, so that the guard can compare them with what is trained on."""
    text_of = _texts(dataset, index)
    found = []
    for query in dataset.queries:
        relevant = [name for name, grade in dataset.qrels[query.query_id].items() if grade > 0]
        texts = [text for name in relevant if (text := text_of(name))] or ["(not in the index)"]
        found.append(Example.of(TrainingRow(query.text, tuple(texts)), positive_ids=relevant))
    return tuple(found)


def _texts(dataset: Dataset, index: Index) -> Callable[[str], str]:
    """Return what tells a document's text, empty for one that is not there: of the index, or of the data set's own corpus."""
    if dataset.corpus_path is not None:
        own = {one.doc_id: passage_text(one.title, "", one.text) for one in documents(dataset)}
        return lambda name: own.get(name, "")
    known = set(index.chunks.doc_ids())
    return lambda name: index.chunks.document(name).text if name in known else ""


def _without_leaks(examples: Sequence[Example], judges: Sequence[Example]) -> tuple[tuple[Example, ...], int]:
    """Leave out what asks or answers like a query of the verdict; the guard then finds nothing, or says so loudly."""
    if not judges:
        return tuple(examples), 0
    taken = {name for judge in judges for name, _ in traits_of(judge)}
    near = {
        pair.first
        for pair in near_duplicates_between(
            [example.row.query for example in examples], [judge.row.query for judge in judges], SAME_QUERY
        )
    }
    kept = tuple(
        example
        for place, example in enumerate(examples)
        if place not in near and not any(name in taken for name, _ in traits_of(example))
    )
    check_no_leak(kept, judges)
    return kept, len(examples) - len(kept)


def _write(
    run: TuningRun,
    mined: MinedSet,
    dev: Sequence[TrainingRow],
    others: Sequence[str],
) -> None:
    write_training_rows(run.data / _TRAIN, [example.row for example in mined.examples])
    write_training_rows(run.data / _DEV, dev)
    (run.data / _OTHERS).write_text(json.dumps(list(others), ensure_ascii=False), encoding="utf-8")
    write_report(run.data, "mining", mining_report(mined))


def _with_negatives(row: TrainingRow, most: int | None) -> TrainingRow:
    return replace(row, neg=row.neg[:most], neg_scores=row.neg_scores[:most])


def _held_out(index: Index, spec: DataSpec, run: TuningRun) -> Dataset:
    """Return the queries of the verdict: those that were asked for, else those that the run has written."""
    if spec.evaluate is not None:
        return judged_queries(spec.evaluate, index, index_only=spec.index_only)
    return load_dataset(run.data / _HELD_OUT)


def _read(index: Index, spec: DataSpec, run: TuningRun) -> TuningData:
    facts = run.data_facts()
    counts = {what: count for what, count in counts_from_json(facts.get("counts", facts)).items() if count}
    held = _held_out(index, spec, run)
    counts[HELD_OUT] = len(held.queries)
    rows = read_training_rows(run.data / _DEV)
    others: list[str] = json.loads((run.data / _OTHERS).read_text(encoding="utf-8"))
    return TuningData(
        train=train_rows(run),
        chosen_by=DevSet.of_rows(rows, others) if rows else None,
        held_out=held,
        counts=counts,
    )
