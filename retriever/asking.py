"""What a query must be before it is searched for: it has words, and it is not longer than encoders read."""

from dataclasses import replace

from quarry.indexer.errors import EmptyQuery, QueryError
from quarry.indexer.messages import Message
from quarry.retriever.questions.understood import understand
from quarry.retriever.ranking import Query

MAX_QUERY_CHARS = 8_192  # longer queries are cut with a notice; every encoder here reads fewer tokens than this


def cleaned(text: str) -> str:
    """Return a query without NUL, lone surrogates and runs of white space."""
    return " ".join(text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8").split())


def can_be_asked(text: str) -> bool:
    """Whether a query has something to look for."""
    return bool(cleaned(text)) and not understand(cleaned(text)).only_excludes


def checked(query: Query) -> tuple[Query, tuple[Message, ...]]:
    """Return a query as it is searched for, and what was done to it.

    Raises:
        EmptyQuery: If it has no text.
        QueryError: If it only says what to leave out.
    """
    text = cleaned(query.text)
    if not text:
        if query.query_id == query.text:
            raise EmptyQuery("search.empty_query", "the query is empty", expected="a question or some keywords")
        raise EmptyQuery(
            "search.empty_query_of_many",
            "the query {query_id} is empty",
            expected="a question or some keywords",
            query_id=query.query_id,
        )
    read = understand(text)
    if read.only_excludes:
        raise QueryError(
            "search.only_exclusions",
            "the query only says what to leave out ({excluded})",
            expected="words to look for besides",
            do="Add a question or keywords; quotation marks around a word with a hyphen look for it as it is",
            excluded=list(read.excluded),
        )
    if len(text) > MAX_QUERY_CHARS:
        notice = Message.of(
            "search.query_cut",
            "the query has {length:character|characters} and was cut to its first {most:,}",
            length=len(text),
            most=MAX_QUERY_CHARS,
        )
        return replace(query, text=text[:MAX_QUERY_CHARS]), (notice,)
    return replace(query, text=text), ()
