"""Why a document is not among the results: the door."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quarry.indexer.messages import Message
from quarry.retriever.searcher import Searcher
from quarry.retriever.why_not.changes import Change, any_search, smallest_change
from quarry.retriever.why_not.document import Wanted, wanted
from quarry.retriever.why_not.loss import Loss, find_loss
from quarry.retriever.why_not.remarks import remarks
from quarry.retriever.why_not.search import Search


@dataclass(frozen=True, slots=True)
class SkippedSource:
    """A file that indexing skipped: its path, and why."""

    source: str
    reason: Message


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Where a document was lost, and what brings it back.

    Attributes:
        search: What was asked.
        document: Which document was meant.
        loss: The stage that lost it.
        change: The smallest change that shows it, tried; None when it is shown, or when none was found.
        remarks: What else is to be known of it.
    """

    search: Search
    document: Wanted
    loss: Loss
    change: Change | None = None
    remarks: tuple[Message, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary; messages are English sentences."""
        changed = self.change
        return {
            "question": self.search.question,
            "k": self.search.k,
            "document": self.document.title,
            "doc_ids": list(self.document.doc_ids),
            "alike": list(self.document.alike),
            "stage": self.loss.stage,
            "reason": str(self.loss.reason),
            "places": asdict(self.loss.places) if self.loss.places else None,
            "change": None
            if changed is None
            else {
                "steps": [str(step) for step in changed.steps],
                "question": changed.search.question,
                "k": changed.search.k,
                "options": asdict(changed.search.options),
                "rank": changed.rank,
            },
            "remarks": [str(remark) for remark in self.remarks],
        }


def why_not(
    searcher: Searcher,
    search: Search,
    document: str,
    skipped: Sequence[SkippedSource] = (),
    possible: Callable[[Search], bool] = any_search,
) -> WhyNot:
    """Say why a document is not among the results of a search, and the smallest change that shows it.

    Args:
        searcher: The opened index.
        search: What was asked.
        document: An id, a file, a title, or a part of one of them.
        skipped: Files that indexing skipped: a document that is not there may be one of them, and one that is may be older than its file.
        possible: Whether the asker can make a search: no other change is proposed.

    Raises:
        QueryError: If the question cannot be asked, or the name is empty.
        SeveralDocuments: If the name means documents of several files.

    Example:
        >>> from quarry.retriever import Searcher
        >>> from quarry.retriever.why_not.report import why_not
        >>> from quarry.retriever.why_not.search import Search
        >>> found = why_not(Searcher.open("my-index"), Search("Where does the Rhine begin?", k=1), "no such file.pdf")
        >>> found.loss.stage, found.loss.reason.part("found")
        ('not_indexed', 'no document of the index has this name')
    """
    searcher = searcher.seen_by(search.options.principals)
    named = wanted(searcher.index.chunks, document)
    if not named.doc_ids:
        return WhyNot(search, named, _not_there(named, skipped))
    loss = find_loss(searcher, search, named.doc_ids)
    if loss.stage == "shown":
        return WhyNot(search, named, loss)
    change = smallest_change(searcher, search, named.doc_ids, loss, possible)
    unread = {skip.source: skip.reason for skip in skipped}
    more = remarks(searcher.index, search.question, named.doc_ids, unread, owner=searcher.sees_all)
    return WhyNot(search, named, loss, change, tuple(more))


def _not_there(named: Wanted, skipped: Sequence[SkippedSource]) -> Loss:
    wanted_name = named.name.casefold().lstrip("./")
    for skip in skipped:
        if wanted_name in skip.source.casefold():
            reason = Message.of(
                "search.lost_skipped",
                "its file was skipped: {source}: {reason}",
                source=skip.source,
                reason=skip.reason,
            )
            return Loss("skipped", reason)
    if named.alike:
        return Loss(
            "not_indexed",
            Message.of(
                "search.lost_unknown_alike",
                "no document of the index has this name; there are {alike}",
                do="Run `quarry index` with its file or folder",
                alike=list(named.alike),
            ),
        )
    return Loss(
        "not_indexed",
        Message.of(
            "search.lost_unknown",
            "no document of the index has this name",
            do="Run `quarry index` with its file or folder",
        ),
    )
