"""Questions made of an index's own documents, whose answer is left out, and the thresholds that they set.

A question is a sentence taken out of a passage, one of those by which the index's routes are probed
(`quarry.indexer.build.measuring.probes`). It is asked, and what its document holds is taken out of the results: what is left is
as near to the question as this index comes where it does not hold the answer. How strong such searches look differs between
indexes, and people's near misses look much the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from quarry.indexer.build.measuring.probes import lowest_probes
from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message
from quarry.indexer.stores.centroids import major_languages
from quarry.retriever.answers.evidence import shipped_for
from quarry.retriever.answers.refusals.calibrate import LEAST, MOST, Case, cases, judged_by_name
from quarry.retriever.answers.refusals.calibration import NAME, Calibration
from quarry.retriever.answers.refusals.promise import own_threshold
from quarry.retriever.asking import can_be_asked
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import document_of

if TYPE_CHECKING:
    from quarry.indexer.embedder import Embedder
    from quarry.indexer.opened import Index
    from quarry.retriever.searcher import Searcher

_WHOLE = 1 - 1e-9  # of a sentence's words, by their idf: sums of the same numbers differ in their last bits
_GROWN = 1.2  # times as many passages, or as few: then the thresholds are set again


def calibrate_on_own(searcher: "Searcher", embedder: "Embedder | None") -> Calibration | None:
    """Set an index's thresholds by questions made of its documents, and save them in its folder.

    Those that judged questions set stay, and so do those of nearly the same documents, the same embedder and the models that ship.

    Args:
        searcher: The opened index.
        embedder: The index's; None weighs words alone.

    Returns:
        What was saved; None where nothing was: the thresholds there still hold, or there are too few passages to make questions of.
    """
    index = searcher.index
    passages = len(index.lexical)
    if _holds(_present(index), index, passages):
        return None
    asked = own_questions(index)
    if len(asked) < LEAST:
        return None
    queries = [Query(str(number), question) for number, (_, question) in enumerate(asked)]
    qrels = {str(number): {document_of(chunk_id): 1} for number, (chunk_id, _) in enumerate(asked)}
    base = shipped_for(index)
    by_name = judged_by_name(base, unanswerable(cases(searcher, queries, qrels, (), embedder)))
    near = {name: judged.near for name, judged in by_name.items() if len(judged.near) >= LEAST}
    if not near:
        return None
    facts = index.manifest.embedder
    made = replace(
        base,
        origin=Message.of(
            "answers.own_documents",
            "calibrated on this index's documents ({questions} questions)",
            questions=len(queries),
        ),
        embedder=facts.to_spec().model if facts else "",
        fingerprint=facts.fingerprint if facts else "",
        thresholds={name: own_threshold(found, base.model_named(name)) for name, found in near.items()},
        passages=passages,
    )
    made.save(index.root / NAME)
    return made


def own_questions(index: "Index") -> list[tuple[str, str]]:
    """Return passages with the question made of each, at most `MOST`, as many of each of the index's languages."""
    members = major_languages(index.chunks.languages())
    parts: Sequence[str] = list(members) if len(members) > 1 else [""]
    found: list[tuple[str, str]] = []
    for language in parts:
        size = len(members[language]) if language else len(index.lexical)
        probes = lowest_probes(index.chunks, size, language)[: MOST // len(parts)]
        # a sentence such as "-v -x" reads as a query that only leaves out
        found += [(probe.chunk_id, probe.question) for probe in probes if can_be_asked(probe.question)]
    return found


def unanswerable(found: Sequence[Case]) -> list[Case]:
    """Return cases of an index's own sentences without the near misses that are none: another passage has all words of the sentence."""
    return [case for case in found if case.source != "answer left out" or case.signals.cover < _WHOLE]


def _present(index: "Index") -> Calibration | None:
    try:
        return Calibration.load(index.root / NAME) if (index.root / NAME).is_file() else None
    except SettingsError:  # damaged: it is made again
        return None


def _holds(there: Calibration | None, index: "Index", passages: int) -> bool:
    facts = index.manifest.embedder
    if there is None or there.fingerprint != (facts.fingerprint if facts else ""):
        return False
    if there.passages is None:
        return True
    alike = there.passages / _GROWN <= passages <= there.passages * _GROWN
    return alike and there.models == shipped_for(index).models
