"""Is what a search found good enough to answer from, or must the answer be "not in your documents"?

The strength is the probability, by a model fitted on judged questions, that the answer is among the passages. The threshold keeps a
promise: of the answers at most one in twenty is unsupported (`quarry.retriever.answers.refusals.promise`). An index has thresholds of
its own, made of its documents by `quarry index`, or of judged questions by `quarry ask INDEX --calibrate DATASET`; those of another
embedder are not used, and the basis says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quarry.indexer.errors import SettingsError
from quarry.indexer.language import language_of
from quarry.indexer.messages import Message
from quarry.retriever.answers.refusals.calibration import NAME, Calibration, Kind, kind_of, shipped
from quarry.retriever.answers.refusals.observed import observe
from quarry.retriever.answers.refusals.signals import Signals
from quarry.retriever.stages.asked_vectors import vector_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from quarry.indexer.embedder import Embedder
    from quarry.indexer.opened import Index
    from quarry.retriever.rerankers.late_interaction import LateInteraction
    from quarry.retriever.results import Answer

_READ: dict[Kind, Message] = {
    "meaning": Message.of("answers.by_meaning", "meaning and words"),
    "tokens": Message.of("answers.by_tokens", "meaning and tokens, across languages"),
    "across": Message.of("answers.across_languages", "meaning, across languages"),
    "words": Message.of("answers.by_words", "words alone"),
}


@dataclass(frozen=True, slots=True)
class Grounds:
    """Whether the passages of one search are enough to answer from.

    Attributes:
        strength: Probability in [0, 1] that they hold the answer; 0 when there are none.
        weak: Whether that is too little to answer from.
        threshold: Below it, evidence is weak; above 1 where no strength is enough to keep the promise.
        basis: Which calibration and which signals were used, and why not others.
    """

    strength: float
    weak: bool
    threshold: float
    basis: Message

    def message(self) -> Message:
        """Return one sentence for a reader."""
        if self.weak:
            return Message.of(
                "answers.weak",
                "Not in your documents, it seems (strength of the evidence {strength:.2f}, below {threshold:.2f}).",
                strength=self.strength,
                threshold=self.threshold,
            )
        return Message.of(
            "answers.supported",
            "Your documents support an answer (strength of the evidence {strength:.2f}, threshold {threshold:.2f}).",
            strength=self.strength,
            threshold=self.threshold,
        )


def weigh(
    question: str,
    answer: "Answer",
    index: "Index",
    embedder: "Embedder | None",
    late: "LateInteraction | None" = None,
) -> Grounds:
    """Weigh what a search found.

    Args:
        question: What was asked.
        answer: What `Searcher.search` returned for it, ten results at best; with fewer it is less certain.
        index: The index that answered.
        embedder: The index's; None, or a search whose dense stage did not run, weighs words alone.
        late: The index's late interaction; None where it has no token states.

    Raises:
        IndexMismatchError: If the embedder is not the one that the index was built with.
    """
    vector = query_vector(question, answer, index, embedder)
    return grounds_of(observe(question, answer.results, index, vector, late), answer, index)


def grounds_of(signals: Signals, answer: "Answer", index: "Index") -> Grounds:
    """Return what the signals of a search say, by the calibration that applies to its index."""
    calibration, remark = calibration_of(index)
    model = calibration.model(kind_of(signals))
    threshold = calibration.answered(model.kind, language_of(answer.query.text))
    basis = Message.of(
        "answers.basis",
        "{calibration}; {signals}{remark}",
        calibration=calibration.origin,
        signals=_READ[model.kind],
        remark=remark,
    )
    if not answer.results:
        return Grounds(0.0, True, threshold, basis)
    strength = model.strength(signals)
    return Grounds(strength, strength < threshold, threshold, basis)


def calibration_of(index: "Index") -> tuple[Calibration, Message | str]:
    """Return the calibration that applies to an index, and why it is not the index's own where there is one.

    Several indexes as one ask for as much as the strictest of them, so that its promise holds for what is answered from it.
    """
    if len(index.parts) > 1:
        return _strictest([calibration_of(part)[0] for part in index.parts.values()], shipped_for(index)), ""
    path = index.root / NAME
    if not path.is_file():
        return shipped_for(index), ""
    try:
        own = Calibration.load(path)
    except SettingsError as err:
        return shipped_for(index), Message.of("answers.not_this", "; {why}", why=err.message)
    facts = index.manifest.embedder
    if own.fingerprint != (facts.fingerprint if facts else ""):
        return shipped_for(index), Message.of(
            "answers.other_calibration",
            "; this index's own calibration was made with {embedder}, not with what it has now, and is not used",
            do="Make it again with `quarry index`, or with `quarry ask {index} --calibrate DATASET`",
            embedder=own.embedder or Message.of("answers.no_embedder", "no embedder"),
            index=str(index.root),
        )
    return own, ""


def _strictest(own: Sequence[Calibration], base: Calibration) -> Calibration:
    """Return a calibration with the highest threshold of each kind and language; those of other models are on another scale."""
    alike = [one for one in own if one.models == base.models]
    names = sorted({name for one in alike for name in one.thresholds})
    return replace(
        base,
        thresholds={
            name: max(one.thresholds.get(name, one.model_named(name).answered) for one in alike) for name in names
        },
    )


def shipped_for(index: "Index") -> Calibration:
    """Return the shipped calibration, without the model that reads MaxSim unless it was fitted with this index's embedder."""
    facts = index.manifest.embedder
    same = facts is not None and facts.to_spec().model == shipped().embedder
    return shipped() if same else replace(shipped(), tokens=None)


def query_vector(
    question: str, answer: "Answer", index: "Index", embedder: "Embedder | None"
) -> "NDArray[np.float32] | None":
    """Return the question's embedding, shape (dim,); None where meaning did not take part in the search.

    Raises:
        IndexMismatchError: If the embedder is not the one that the index was built with.
    """
    if embedder is None or not any(result.evidence.dense for result in answer.results):
        return None
    index.check_embedder(embedder.spec)
    return vector_of(embedder, question)
