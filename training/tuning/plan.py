"""What `quarry tune` is asked to do, and which progress events it sends. Imports no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from quarry.indexer.build.progress import Observer, Unobserved
from quarry.indexer.messages import Message
from quarry.retriever.llm.endpoint import Endpoint
from quarry.retriever.ranking import Route
from quarry.training.examples.split import SplitSpec
from quarry.training.fit.loop.progress import TrainProgress
from quarry.training.fit.spec import RerankerSpec, TrainSpec
from quarry.training.negatives.spec import NegativeSpec
from quarry.training.tuning.gate import GateSpec
from quarry.training.tuning.query_shift.spec import QueryShiftSpec
from quarry.training.tuning.search.spec import SearchSpec
from quarry.training.tuning.second_stage.spec import SecondStageSpec
from quarry.training.tuning.steps import NOTHING_ENCODED, What

# Not 1: the dev queries are like the pairs and choose whole tuned weights, which are worse than a mixture on other questions
# and on the general set.
MERGE_SHARES = (0.6, 0.3)


@dataclass(frozen=True, slots=True)
class SyntheticSource:
    """Queries that a language model writes for passages of the index, which are sent to it.

    Attributes:
        passages: At most this many are sent, drawn by the seed; one call each.
        endpoint: Where to ask.
        personas: File of people who ask, drawn by the seed; None for six of each language.
    """

    passages: int
    endpoint: Endpoint
    personas: Path | None = None

    def __post_init__(self) -> None:
        if self.passages < 1:
            raise ValueError(f"{self.passages} passages are to be sent; expected at least 1")

    def facts(self) -> dict[str, str | int]:
        """Return what decides the queries; where the endpoint is does not."""
        named = {"personas": str(self.personas)} if self.personas else {}  # runs of before know no such fact
        return {"passages": self.passages, "model": self.endpoint.model, **named}


@dataclass(frozen=True, slots=True)
class TuningSources:
    """Where examples come from.

    Attributes:
        feedback: Whether the index's own log is used.
        pairs: Files and folders of pairs: FlagEmbedding JSONL, BEIR with train judgements, plain pairs.
        corpus: Whether pairs are mined from the index's documents (title and body, headings, questions and answers).
        most: At most this many examples, drawn by the seed; None for all.
        one_person: Whether one voice is enough (`quarry.training.examples.from_feedback.ONE_PERSON`): for an index that one person
            uses.
        synthetic: A language model that writes queries; None, the default, asks none.
        candidate_pool: Files of more passages that negatives are drawn from, for pairs whose passage is not in the index.
        strict: Whether a bad row in a file of pairs is an error; otherwise it is left out and counted.
    """

    feedback: bool = True
    pairs: tuple[Path, ...] = ()
    corpus: bool = False
    most: int | None = None
    one_person: bool = False
    synthetic: SyntheticSource | None = None
    candidate_pool: tuple[Path, ...] = ()
    strict: bool = False


@dataclass(frozen=True, slots=True)
class DataSpec:
    """What the data of a run are made of.

    Attributes:
        sources: Where examples come from.
        split: Shares for choosing and for the verdict.
        evaluate: Folder of judged queries (BEIR) for the verdict; None holds a share of the examples out.
        negatives: How negatives are mined.
        dev_negatives: Mined negatives kept for each dev query; None keeps all.
        seed: Draws the passages that dev queries are ranked among.
        index_only: Whether the verdict's queries must be answered by the index itself; otherwise, where it holds none of the answers,
            they are asked of the passages that came with them.
        keep_taught: Whether questions that the live query shift was learned from are not held out again.
    """

    sources: TuningSources
    split: SplitSpec
    evaluate: Path | None
    negatives: NegativeSpec
    dev_negatives: int | None
    seed: int
    index_only: bool = False
    keep_taught: bool = False


@dataclass(frozen=True, slots=True)
class Exam:
    """What the verdict is about.

    Attributes:
        general: Folder of the general set (BEIR) on which the model must not become worse.
        route: The route by which the held-out queries are answered.
        rerank_depth: Candidates per held-out query that a reranker orders, as a search does.
        rule: What a model must hold to be promoted.
        share: Of the judged queries that are held out for it, in (0, 1].
    """

    general: Path
    route: Route
    rerank_depth: int
    rule: GateSpec
    share: float = 1.0


# Each dev query of an embedder is ranked among the passages of all; a reranker is shown each query's own, so it gets all mined ones.
DEV_NEGATIVES = 2


@dataclass(frozen=True, slots=True)
class TuningPlan:
    """One run of the loop.

    Attributes:
        general: Folder of the general set (BEIR) on which the model must not become worse.
        sources: Where examples come from.
        split: Shares for choosing and for the verdict.
        evaluate: Folder of judged queries (BEIR) for the verdict, instead of a share of the examples.
        negatives: How negatives are mined.
        spec: How it is trained; a `RerankerSpec` tunes the reranker, a `SecondStageSpec` the second stage on token states, a
            `QueryShiftSpec` how questions move, a `SearchSpec` both and BM25's weight, else the embedder is tuned.
        reranker: The reranker to begin with: `auto` (what a search with `--rerank auto` uses), `from-encoder` (the index's
            embedder with a new head), an id or a folder. Ignored for embedders.
        rerank_depth: Candidates per held-out query that are reranked for the verdict, as a search does.
        merge: Shares of the tuned weights to choose from on the dev queries; the rest is the base model's
            (LM-Cocktail, arXiv 2311.13534). `(1.0,)` switches merging off.
        route: The route by which the held-out queries are answered for the verdict.
        rule: What a model must hold to be promoted.
        force: Promote against the verdict; it is recorded.
        promote: Whether a model that may be promoted is; otherwise it stays in the run's folder.
        device: Where models run.
        processes: How many processes train an embedder; the batch is shared out.
    """

    general: Path
    sources: TuningSources = TuningSources()
    split: SplitSpec = SplitSpec()
    evaluate: Path | None = None
    negatives: NegativeSpec = NegativeSpec()
    spec: TrainSpec | SecondStageSpec | QueryShiftSpec = field(default_factory=TrainSpec)
    reranker: str = "auto"
    rerank_depth: int = 50
    merge: tuple[float, ...] = MERGE_SHARES
    route: Route = "hybrid"
    rule: GateSpec = GateSpec()
    force: bool = False
    promote: bool = True
    device: str = "auto"
    processes: int = 1

    def __post_init__(self) -> None:
        if self.processes < 1 or (self.processes > 1 and self.what != "embedder"):
            raise ValueError(
                f"processes is {self.processes} for the {self.what}; expected 1, or more of them for the embedder"
            )
        if not self.merge or not all(0 < share <= 1 for share in self.merge):
            raise ValueError(f"merge is {self.merge}; expected shares above 0 and up to 1, at least one")
        if self.rerank_depth < 1:
            raise ValueError(f"rerank_depth is {self.rerank_depth}; expected at least 1 candidate")

    @property
    def what(self) -> What:
        """What is tuned."""
        if isinstance(self.spec, SecondStageSpec):
            return "second-stage"
        if isinstance(self.spec, QueryShiftSpec):
            return "search" if isinstance(self.spec, SearchSpec) else "queries"
        return "reranker" if isinstance(self.spec, RerankerSpec) else "embedder"

    @property
    def data(self) -> DataSpec:
        """What its data are made of."""
        dev_negatives = None if self.what == "reranker" else DEV_NEGATIVES
        found = DataSpec(
            self.sources,
            self.split,
            self.evaluate,
            self.negatives,
            dev_negatives,
            self.spec.seed,
            index_only=self.what in NOTHING_ENCODED,
        )
        if not isinstance(self.spec, QueryShiftSpec):
            return found
        # nothing is chosen, so there is no dev side; a question that does not find its answer teaches the most
        split = replace(self.split, dev=0.0, test=1 - self.spec.first)
        return replace(found, split=split, negatives=replace(self.negatives, consistent_within=None), keep_taught=True)

    @property
    def exam(self) -> Exam:
        """What its verdict is about."""
        share = self.data.split.test if self.evaluate is None else 0.0
        return Exam(self.general, self.route, self.rerank_depth, self.rule, share or 1.0)

    def facts(self) -> Mapping[str, Any]:
        """Return the plan in the types of JSON, for the run's folder; a run resumes only under the same facts."""
        facts = {**asdict(self), "what": self.what, "spec": self.spec.model_dump(mode="json")}
        for name in ("force", "promote", "device"):
            del facts[name]  # they do not change what is made
        if self.processes == 1:
            del facts["processes"]  # runs of before know no such fact
        facts["general"], facts["evaluate"] = self.general.name, str(self.evaluate) if self.evaluate else None
        written = self.sources.synthetic
        facts["sources"] = {
            **asdict(self.sources),
            "pairs": [str(path) for path in self.sources.pairs],
            "candidate_pool": [str(path) for path in self.sources.candidate_pool],
            "synthetic": written.facts() if written else None,
        }
        return facts


class TuningObserver(Observer, Protocol):
    """Receives the progress events of a run; `phase` and `advance` as for a build."""

    def stage(self, message: Message) -> None:
        """Something began or was found out; for a person to read."""
        ...

    def training(self, progress: TrainProgress) -> None:
        """A training step was made."""
        ...


class Unwatched(Unobserved):
    """Ignores every event."""

    def stage(self, message: Message) -> None:
        """Ignore it."""

    def training(self, progress: TrainProgress) -> None:
        """Ignore it."""
