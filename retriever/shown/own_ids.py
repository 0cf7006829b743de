"""Results of several indexes searched as one, with the ids that they have in their own index."""

from dataclasses import replace

from quarry.indexer.joined.ids import apart
from quarry.retriever.results import Result
from quarry.retriever.shown.copies import Copy


def with_own_ids(result: Result) -> Result:
    """Return a result whose ids, and those of its copies, are those of their own index; `index` says which that is."""
    index, doc_id = apart(result.doc_id)
    return replace(
        result,
        chunk_id=apart(result.chunk_id)[1],
        doc_id=doc_id,
        title=_own(result.title, result.doc_id),
        source=_own(result.source, result.doc_id),
        copies=tuple(_copy(copy, index) for copy in result.copies),
        index=index,
    )


def _copy(copy: Copy, beside: str) -> Copy:
    index, doc_id = apart(copy.doc_id)
    return Copy(
        doc_id,
        apart(copy.chunk_id)[1],
        _own(copy.source, copy.doc_id),
        _own(copy.title, copy.doc_id),
        "" if index == beside else index,
    )


def _own(text: str, doc_id: str) -> str:
    """Return what stands for a document's title or source, where that is its id."""
    return apart(doc_id)[1] if text == doc_id else text
