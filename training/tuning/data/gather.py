"""All examples of a run: from the feedback log, files, the documents and a language model; and what was left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from quarry.indexer.embedder import Embedder
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.training.examples import reasons
from quarry.training.examples.corpus_pairs import PairOptions, mine_pairs
from quarry.training.examples.example import Example
from quarry.training.examples.files import read_pairs, read_pool
from quarry.training.examples.from_feedback import ONE_PERSON, SEVERAL_PEOPLE, curate
from quarry.training.feedback.log import FeedbackLog, feedback_path
from quarry.training.tuning.data.synthetic_source import examples_by_language_model
from quarry.training.tuning.plan import TuningObserver, TuningSources

T = TypeVar("T")
MOST_PASSAGES = 100_000  # of files, for negatives: the BM25 index of 41,471 Chinese ones takes a minute


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the sources gave.

    Attributes:
        examples: At most `sources.most`.
        left_out: Counts of what was left out, by reason.
        passages: Positives of the files, those of examples that were not drawn included, and the candidate pool: places for
            negatives, at most `MOST_PASSAGES`.
    """

    examples: tuple[Example, ...]
    left_out: reasons.Counts
    passages: tuple[str, ...]


def gather(
    index: Index, embedder: Embedder, sources: TuningSources, seed: int, folder: Path, watch: TuningObserver
) -> Gathered:
    """Return the examples of all sources.

    Args:
        index: Its passages are trained on.
        embedder: Its model, for the filter of mined pairs.
        sources: Where examples come from.
        seed: Seed of every draw.
        folder: The run's folder; what a language model writes is kept there.
        watch: Receives progress events, among them what each source gave.

    Raises:
        FeedbackError: If the log or a file is not valid; file and line are named.
        ModelError: If a language model is to write queries and its endpoint refuses or falls silent.
    """
    found: list[Example] = []
    filed: list[str] = []
    left_out: Counter[Message] = Counter()
    if sources.feedback and feedback_path(index.root).is_file():
        examples, counts = _from_feedback(index, one_person=sources.one_person)
        watch.stage(
            Message.of("tuning.from_feedback", "{count:example|examples} from the feedback log", count=len(examples))
        )
        found += examples
        left_out.update(counts)
    for path in sources.pairs:
        read = read_pairs(path, strict=sources.strict)
        watch.stage(
            Message.of(
                "tuning.from_file",
                "{count:example|examples} from {path}",
                count=len(read.examples),
                path=str(path),
            )
        )
        if read.bad_rows:
            watch.stage(
                Message.of(
                    "tuning.bad_rows",
                    "{count:row was|rows were} left out: {rows:;}",
                    do="Correct them, or give --strict to refuse such files",
                    count=read.left_out[reasons.BAD_ROW],
                    rows=read.bad_rows,
                )
            )
        found += read.examples
        filed += [text for example in read.examples for text in example.row.pos]
        left_out.update(read.left_out)
    for path in sources.candidate_pool:
        pool = read_pool(path)
        watch.stage(
            Message.of(
                "tuning.from_pool",
                "{count:passage|passages} for negatives from {path}",
                count=len(pool),
                path=str(path),
            )
        )
        filed += pool
    if sources.corpus:
        watch.phase("mining", None)
        rules = replace(PairOptions(), limit=sources.most, seed=seed)
        mined = mine_pairs(index.chunks.documents(), embedder, rules, progress=watch.advance)
        watch.stage(
            Message.of("tuning.from_corpus", "{count:example|examples} from the documents", count=len(mined.examples))
        )
        found += mined.examples
        left_out.update(mined.dropped)
    if sources.synthetic:
        written = examples_by_language_model(index, embedder, sources.synthetic, seed, folder, watch)
        watch.stage(
            Message.of(
                "tuning.from_model",
                "{count:example|examples} by a language model",
                count=len(written.examples),
            )
        )
        found += written.examples
        left_out.update(written.dropped)
    drawn = _at_most(found, sources.most, seed)
    return Gathered(drawn, dict(left_out), _at_most(list(dict.fromkeys(filed)), MOST_PASSAGES, seed))


def _from_feedback(index: Index, *, one_person: bool) -> tuple[Sequence[Example], reasons.Counts]:
    known = set(index.chunks.digests()[0])

    def text_of(chunk_id: str) -> str | None:
        return index.chunks.texts([chunk_id])[0] if chunk_id in known else None

    with FeedbackLog.open(feedback_path(index.root)) as log:
        curated = curate(log.events(), text_of, ONE_PERSON if one_person else SEVERAL_PEOPLE)
    return curated.examples, curated.dropped


def _at_most(found: Sequence[T], most: int | None, seed: int) -> tuple[T, ...]:
    """Draw by the seed, in the order of the input."""
    if most is None or len(found) <= most:
        return tuple(found)
    drawn = np.random.default_rng(seed).choice(len(found), most, replace=False)
    return tuple(found[place] for place in sorted(drawn))
