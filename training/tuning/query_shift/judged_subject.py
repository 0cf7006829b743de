"""What all that is learned from judged questions shares as a subject of the loop: the questions, the live search, the blocks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.errors import FeedbackError, SettingsError
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.searcher import Searcher
from quarry.training.examples.held_out import Places
from quarry.training.tuning.data import TuningData, train_rows
from quarry.training.tuning.embedder.subject import model_of, training_begins
from quarry.training.tuning.live_search import LiveSearch
from quarry.training.tuning.plan import Exam, TuningObserver
from quarry.training.tuning.query_shift.blocks import blocks_of
from quarry.training.tuning.query_shift.learning import JudgedQuestion, questions_asked, questions_of
from quarry.training.tuning.query_shift.spec import QueryShiftSpec
from quarry.training.tuning.query_shift.trials import Block
from quarry.training.tuning.run import TuningRun


@dataclass(frozen=True, slots=True)
class JudgedSubject:
    """The part of a `quarry.training.tuning.subject.Subject` that does not depend on what is learned.

    Attributes:
        root: The index folder.
        spec: How it is learned.
        exam: What the verdict is about.
        device: Where the model runs.
        own: Whether the verdict is by a share of the questions themselves, which then teach, too; not when a folder of judged
            queries was given for it.
    """

    root: Path
    spec: QueryShiftSpec
    exam: Exam
    device: str
    own: bool

    def check(self) -> Manifest:
        """Return the live manifest, which has vectors.

        Raises:
            IndexFormatError: If it has none.
            SettingsError: If the verdict is to be by words alone, which do not move.
        """
        live = Manifest.read(Generations(self.root).live())
        model_of(self.root, live)
        if self.exam.route == "bm25":
            raise SettingsError(
                "tuning.route_without_vectors",
                "route bm25 compares no vectors, so questions that move change nothing",
                expected="hybrid or dense",
                do="Leave --route out",
            )
        return live

    def open_live(self) -> LiveSearch:
        """Open the live generation with its model and its second stage; no cross-encoder has a say.

        Raises:
            ModelError: If the model cannot be loaded.
        """
        return LiveSearch.open(self.root, self.device)

    def questions(self, live: LiveSearch, data: TuningData, watch: TuningObserver) -> list[JudgedQuestion]:
        """Return all questions that teach.

        Raises:
            FeedbackError: If none of them has its answer in the index.
        """
        found = questions_of(data.train, Places(live.index))
        found += questions_asked(data.held_out) if self.own else []
        watch.stage(training_begins(len(found)))
        if not any(one.documents for one in found):
            raise nothing_to_learn(len(found))
        return found

    def blocks(
        self,
        live: LiveSearch,
        held_out: Dataset,
        run: TuningRun,
        taught: Callable[[Sequence[JudgedQuestion]], Searcher],
    ) -> Iterator[Block]:
        """Yield the held-out questions in blocks, each with the search that the questions before it taught."""
        seen = questions_of(train_rows(run), Places(live.index))
        for queries in blocks_of(held_out, self.spec.blocks, self.spec.seed):
            yield Block(queries, taught(seen))
            seen += questions_asked(held_out, queries)

    def tuned_dim(self) -> int:
        """Return the length of the live generation's vectors."""
        return model_of(self.root, Manifest.read(Generations(self.root).live())).to_spec().dim


def nothing_to_learn(count: int) -> FeedbackError:
    """Return the error for so many questions without an answer in the index."""
    return FeedbackError(
        "tuning.queries_nothing",
        "none of {count:question|questions} has its answer in the index",
        expected="at least one",
        do="Give pairs whose passages are in the index",
        count=count,
    )
