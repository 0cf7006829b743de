"""Answers a question from an index: by a model, by the documents' own sentences, or with a refusal.

    answer = ask(Searcher.open("my-index"), "how often can I renew a book?")
    for sentence in answer.sentences:
        print(sentence.text, sentence.citations, sentence.support)

Every step has a fallback: without an endpoint, or when it fails, the best sentences of the documents answer; with too little
evidence nothing answers, and the nearest passages are shown as just that.
"""

from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.messages import Message
from quarry.retriever.answers.citations import Sentence
from quarry.retriever.answers.drafting import Draft, Drafter, Listener, Origin
from quarry.retriever.answers.evidence import Grounds, weigh
from quarry.retriever.answers.packing import STANDARD_BUDGET, Packed, Packing, pack
from quarry.retriever.answers.prompt import AnswerLanguage, Prompt, answer_language, prompt_for
from quarry.retriever.answers.refusals.questions import Search, Turn, cited_before, fused, plan
from quarry.retriever.llm.chat import Writer
from quarry.retriever.llm.stream import StreamOptions
from quarry.retriever.ranking import Query
from quarry.retriever.results import Answer, Result
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.sections.context import read_large

if TYPE_CHECKING:
    from quarry.indexer.embedder import Embedder


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How to answer.

    Attributes:
        endpoint: The model to ask; None answers with the documents' own sentences.
        budget: Tokens of the passages that it is shown.
        k: How many hits to read; the evidence is weighed on ten.
        options: How to search.
        limits: How much of the model's answer is read, and for how long.
        rewrite: Whether the model also says what to search for (`quarry.retriever.answers.refusals.questions`).
        before: What was asked before, oldest first; the question may lean on it.
    """

    endpoint: Writer | None = None
    budget: int = STANDARD_BUDGET
    k: int = 10
    options: SearchOptions = field(default_factory=SearchOptions)
    limits: StreamOptions = StreamOptions()
    rewrite: bool = False
    before: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class GroundedAnswer:
    """An answer with everything needed to judge it.

    Attributes:
        question: What was asked.
        language: The answer's language, `zh` or `en`.
        origin: `generated` by a model, `extractive` (sentences of the documents), or `refused`.
        sentences: In order; each with its citations and whether these support it. Empty for a refusal.
        sources: The numbered passages: what was shown to the model, or the nearest ones of a refusal.
        evidence: Whether the search found enough to answer from.
        notes: What was missing or went wrong; empty for a full answer.
        model: The endpoint's model that was asked; empty when none was.
        generation: The index generation that answered.
        milliseconds: Wall time of the whole.
    """

    question: str
    language: AnswerLanguage
    origin: Origin
    sentences: tuple[Sentence, ...]
    sources: tuple[Packed, ...]
    evidence: Grounds
    notes: tuple[Message, ...]
    model: str
    generation: str
    milliseconds: float

    @property
    def refused(self) -> bool:
        """Whether the documents do not answer the question."""
        return self.origin == "refused"

    @property
    def cited(self) -> tuple[Packed, ...]:
        """The sources that sentences rest on, in order of their numbers."""
        numbers = {number for sentence in self.sentences for number in sentence.citations}
        return tuple(source for source in self.sources if source.number in numbers)

    def as_turn(self) -> Turn:
        """Return it as what was said before a follow-up question."""
        said = " ".join(sentence.text for sentence in self.sentences)
        return Turn(self.question, said, tuple(chunk_id for source in self.cited for chunk_id in source.chunk_ids))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary; messages are English sentences."""
        return {
            **asdict(self),
            "evidence": {**asdict(self.evidence), "basis": str(self.evidence.basis)},
            "notes": [str(note) for note in self.notes],
            "refused": self.refused,
        }


def ask(
    searcher: Searcher,
    question: str,
    settings: AskOptions | None = None,
    listen: Listener | None = None,
    *,
    ready: "Prepared | None" = None,
) -> GroundedAnswer:
    """Answer a question from an index.

    Args:
        searcher: The opened index.
        question: In Chinese or English.
        settings: How to answer; None for the standard.
        listen: Receives each sentence that a model writes, as soon as it is complete and checked.
        ready: What `prepared` returned for the same question and settings, so that nothing is searched for again.

    Raises:
        EmptyQuery: If the question is empty.
        UnknownFilter: If a filter names metadata that no document has.
        ValueError: If the budget is below 256 tokens.

    Example:
        >>> answer = ask(Searcher.open("my-index"), "Where does the Rhine begin?", AskOptions(options=SearchOptions(route="bm25")))
        >>> answer.origin
        'extractive'
        >>> answer.cited[0].title
        'Rhine (1)'
    """
    settings, started = settings or AskOptions(), perf_counter()
    return answered(ready or prepared(searcher, question, settings), question, settings, listen, started)


def answered(
    ready: "Prepared", question: str, settings: AskOptions, listen: Listener | None, started: float
) -> GroundedAnswer:
    """Answer from what was found; `started` is when it began, by `perf_counter`."""
    found = ready.found
    draft = Draft(notes=[*ready.planned.notes, *found.notices, *found.degraded, *_left_out(ready.packing)])
    if ready.answerable:
        drafter = Drafter(ready.analyzer, found.query.text, ready.packing.passages, listen or _nobody)
        if settings.endpoint is not None:
            drafter.generate(settings.endpoint, settings.limits, draft)
        if settings.endpoint is None or (draft.origin == "generated" and not draft.sentences):
            drafter.extract(ready.embedder, draft)
    return GroundedAnswer(
        question=question if settings.before else found.query.text,
        language=answer_language(found.query.text),
        origin=draft.origin,
        sentences=tuple(draft.sentences),
        sources=ready.packing.passages,
        evidence=ready.evidence,
        notes=tuple(draft.notes),
        model=draft.model,
        generation=found.generation,
        milliseconds=(perf_counter() - started) * 1000,
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an answer is made from."""

    planned: Search
    found: Answer
    packing: Packing
    evidence: Grounds
    embedder: "Embedder | None"
    analyzer: Analyzer

    @property
    def answerable(self) -> bool:
        """Whether there is something to answer from."""
        return not self.evidence.weak and bool(self.packing.passages)

    def prompt(self, fence: str) -> Prompt | None:
        """Return what a model would be asked; None when nothing is to be answered from. `fence` is as for `prompt_for`."""
        return prompt_for(self.found.query.text, self.packing.passages, fence=fence) if self.answerable else None


def prepared(searcher: Searcher, question: str, settings: AskOptions) -> Prepared:
    """Search for what `ask` answers from, for a model that is asked elsewhere before `ask` checks its text. Raises as `ask`."""
    searcher = searcher.seen_by(settings.options.principals)
    planned = plan(question, settings.before, settings.endpoint, searcher.index.analyzer, rewrite=settings.rewrite)
    found = searcher.search(planned.question, settings.k, settings.options)
    embedder = None if settings.options.route == "bm25" else searcher.embedder()
    packing = pack(read_large(_read(searcher, planned, found, settings)), searcher.index.chunks, settings.budget)
    evidence = weigh(found.query.text, found, searcher.index, embedder, searcher.pipeline.late)
    return Prepared(planned, found, packing, evidence, embedder, searcher.index.analyzer)


def _read(searcher: Searcher, planned: Search, found: Answer, settings: AskOptions) -> tuple[Result, ...]:
    """Return the results to answer from: those of all that was searched for, then what was cited before."""
    results = found.results
    if planned.others:
        queries = [Query(text, text) for text in planned.others]
        besides = searcher.search_many(queries, settings.k, settings.options)
        results = fused([results, *(answer.results for answer in besides)], settings.k)
    known = {result.chunk_id for result in results}
    again = cited_before(searcher, planned.question, settings.before, settings.options)
    return (*results, *(result for result in again if result.chunk_id not in known))


def _nobody(_sentence: Sentence) -> None:
    """Ignore every sentence."""


def _left_out(packing: Packing) -> list[Message]:
    notes = []
    if packing.left_out:
        notes.append(
            Message.of(
                "answers.left_out",
                "{count:more passage|more passages} did not fit into the budget",
                count=packing.left_out,
            )
        )
    for passage in packing.passages:
        if passage.cut == "between sentences":
            notes.append(
                Message.of(
                    "answers.cut_between",
                    "passage {number} was cut between sentences, to fit the budget",
                    number=passage.number,
                )
            )
        elif passage.cut:
            notes.append(
                Message.of(
                    "answers.cut_inside",
                    "passage {number} was cut inside a sentence, to fit the budget",
                    number=passage.number,
                )
            )
    return notes
