"""Is what a search found good enough to answer from, or must the answer be "not in your documents"?

The strength is the probability, by a model fitted on judged questions, that the answer is among the passages. The threshold
was chosen so that at most one in twenty answerable questions of the judged data is refused. An index can have a calibration
of its own (`quarry ask INDEX --calibrate DATASET`); that of another embedder is not used, and the basis says so.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarry.indexer.errors import SettingsError
from quarry.retriever.answers.calibration import NAME, Calibration, Kind, kind_of, shipped
from quarry.retriever.answers.signals import observe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from quarry.indexer.embedder import Embedder
    from quarry.indexer.opened import Index
    from quarry.retriever.results import Answer

_READ: dict[Kind, str] = {
    "meaning": "meaning and words",
    "across": "meaning, across languages",
    "words": "words alone",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is thought of the passages of one search.

    Attributes:
        strength: Probability in [0, 1] that they hold the answer; 0 when there are none.
        weak: Whether that is too little to answer from.
        threshold: Below it, evidence is weak.
        basis: Which calibration and which signals were used, and why not others.
    """

    strength: float
    weak: bool
    threshold: float
    basis: str

    def words(self, language: str) -> str:
        """Return one sentence for a reader: Chinese for `zh`, otherwise English."""
        numbers = f"{self.strength:.2f}", f"{self.threshold:.2f}"
        if language == "zh":
            if self.weak:
                return f"您的文档里似乎没有答案（依据强度 {numbers[0]}，低于 {numbers[1]}）。"
            return f"文档中有依据（强度 {numbers[0]}，阈值 {numbers[1]}）。"
        if self.weak:
            return f"Not in your documents, it seems (strength of the evidence {numbers[0]}, below {numbers[1]})."
        return f"Your documents support an answer (strength of the evidence {numbers[0]}, threshold {numbers[1]})."


def weigh(question: str, answer: "Answer", index: "Index", embedder: "Embedder | None") -> Evidence:
    """Weigh what a search found.

    Args:
        question: What was asked.
        answer: What `Searcher.search` returned for it, ten results at best; fewer tell less.
        index: The index that answered.
        embedder: The index's; None, or a search whose dense stage did not run, weighs words alone.

    Raises:
        IndexMismatchError: If the embedder is not the one that the index was built with.
    """
    calibration, remark = calibration_of(index)
    signals = observe(question, answer.results, index, _vector(question, answer, index, embedder))
    model = calibration.model(kind_of(signals))
    basis = f"{calibration.origin}; {_READ[model.kind]}{remark}"
    if not answer.results:
        return Evidence(0.0, True, model.threshold, basis)
    strength = model.strength(signals)
    return Evidence(strength, strength < model.threshold, model.threshold, basis)


def calibration_of(index: "Index") -> tuple[Calibration, str]:
    """Return the calibration that holds for an index, and why it is not the index's own where there is one."""
    path = index.root / NAME
    if not path.is_file():
        return shipped(), ""
    try:
        own = Calibration.load(path)
    except SettingsError as err:
        return shipped(), f"; {err}"
    facts = index.manifest.embedder
    if own.fingerprint != (facts.fingerprint if facts else ""):
        return shipped(), (
            f"; this index's own calibration was made with {own.embedder or 'no embedder'}, not with what it has now, and "
            f"is not used. Make it again with `quarry ask {index.root} --calibrate DATASET`"
        )
    return own, ""


def _vector(
    question: str, answer: "Answer", index: "Index", embedder: "Embedder | None"
) -> "NDArray[np.float32] | None":
    if embedder is None or not any(result.evidence.dense for result in answer.results):
        return None
    index.check_embedder(embedder.spec)
    vector: NDArray[np.float32] = embedder.embed_queries([question])[0]
    return vector
