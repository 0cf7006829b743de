"""What else is to be known of a document that was not found: its file has changed, parts were not read, nothing names its subject."""

import re
from collections.abc import Collection, Iterator, Mapping

from quarry.indexer.corpus.listing import path_of
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.readers.left_out import counts_of, losses, told

_WORD = re.compile(r"[^\W_\u3400-\u9fff]+")


def remarks(
    index: Index, question: str, doc_ids: Collection[str], unread: Mapping[str, Message], *, owner: bool = True
) -> Iterator[Message]:
    """Yield what may explain why documents of an index are ranked low, and what can be done about it.

    Args:
        index: The opened index.
        question: What was asked.
        doc_ids: The documents.
        unread: Files that the last runs could not read, and why.
        owner: Whether the asker sees everything; nobody else learns in which folder of the machine a file is.
    """
    doc_ids = sorted(doc_ids)
    if owner:
        yield from _changed(index, doc_ids[0], unread)
    metas = index.chunks.meta(doc_ids)
    for meta in metas.values():
        parts = losses(counts_of(str(meta.get("left_out", ""))))
        if parts:
            yield Message.of("search.not_read", "not read: {parts:;}", parts=told(parts))
            break
    yield from _words(index, question, doc_ids)


def _changed(index: Index, doc_id: str, unread: Mapping[str, Message]) -> Iterator[Message]:
    owner = index.chunks.owner(doc_id)
    file = index.chunks.file(owner) if owner else None
    if owner is None or file is None or not file.root:
        return
    folder, root = index.chunks.roots().get(file.root, file.root), str(index.root)
    try:
        facts = path_of(owner).stat()
    except OSError:
        yield Message.of(
            "search.file_gone",
            "its file is gone",
            do="Run `quarry index {folder} --into {index}`",
            folder=folder,
            index=root,
        )
        return
    if owner in unread:
        yield Message.of(
            "search.file_unread",
            "its file could not be read again, and what was read before is searched: {reason}",
            reason=unread[owner],
        )
    elif facts.st_size != file.size or (file.mtime_ns and facts.st_mtime_ns > file.mtime_ns):
        yield Message.of(
            "search.file_changed",
            "its file was written again after it was read",
            do="Run `quarry index {folder} --into {index}`",
            folder=folder,
            index=root,
        )


def _words(index: Index, question: str, doc_ids: Collection[str]) -> Iterator[Message]:
    """Say which words of the question the document lacks, and whether a title or heading has any of them."""
    words = _surface(index, question)
    passages = [chunk for doc_id in doc_ids for chunk in index.chunks.passages_of(doc_id)]
    have = {term for chunk in passages for term in index.analyzer.passage_terms(chunk.text)}
    names = (*index.chunks.titles(list(doc_ids)).values(), *(chunk.heading for chunk in passages))
    heads = {term for name in names for term in index.analyzer.passage_terms(name or "")}
    unknown = [word for term, word in words.items() if index.lexical.idf(term) is None]
    lacking = [word for term, word in words.items() if term not in have | heads and word not in unknown]
    if unknown:
        yield Message.of("search.words_of_none", "no passage of the index has {words}", words=unknown)
    if lacking:
        yield Message.of(
            "search.words_lacking", "the document does not have {words}; other documents do", words=lacking
        )
    if words and not heads & set(words):
        yield Message.of(
            "search.no_heading",
            "neither its title nor a heading has a word of the question",
            do="Give it a heading with the words that people search for",
        )


def _surface(index: Index, question: str) -> dict[str, str]:
    """Return the question's terms with the words that they were made of."""
    surface = {term: word for word in _WORD.findall(question) for term in index.analyzer.query_tokens(word)}
    return {term: surface.get(term, term) for term in index.analyzer.query_tokens(question)}
