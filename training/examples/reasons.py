"""What was left out of the examples, and why; and counts by reason, as they are kept in the files of a run."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from quarry.indexer.messages import Message

Counts: TypeAlias = Mapping[Message, int]
"""A reason, or what is counted, to how many."""

# of the feedback log
REPEATED = Message.of("examples.repeated", "judgements replaced or withdrawn by their session")
BURST = Message.of("examples.burst", "votes in a burst, one voice with another")
ROBOTS = Message.of("examples.robots", "events of robots")
CONTRARY = Message.of("examples.contrary", "events of sessions that contradict the others")
DISPUTED = Message.of("examples.disputed", "disputed judgements")
WHOLE_DOCUMENT = Message.of("examples.whole_document", "judgements of whole documents")
UNUSUAL = Message.of("examples.unusual", "positives that far fewer visitors chose than is usual")
FEW_CHOSE = Message.of("examples.few_chose", "positives that few of the query's visitors chose")
SOME_CHOSE = Message.of("examples.some_chose", "negatives that some of the query's visitors chose")
PUSHED = Message.of("examples.pushed", "positives of passages that are pushed for many queries")
UNCLEAR_CLICKS = Message.of("examples.unclear_clicks", "passages with too few or contradicting clicks")
NO_QUESTION = Message.of("examples.no_question", "queries that are not questions (no letter, or too long)")
NO_POSITIVE = Message.of("examples.no_positive", "queries without a positive")
GONE = Message.of("examples.gone", "passages that are no longer in the index")

# of pairs mined from documents
BEYOND_LIMIT = Message.of("examples.beyond_limit", "beyond the limit, drawn at random")
UNRELATED = Message.of("examples.unrelated", "no more similar to the model than random texts")
QUERY_SHORT = Message.of("examples.query_short", "query too short")
QUERY_LONG = Message.of("examples.query_long", "query too long")
PASSAGE_SHORT = Message.of("examples.passage_short", "passage too short")
NO_LETTERS = Message.of("examples.no_letters", "mostly signs or digits, or broken characters")
OTHER_SCRIPT = Message.of("examples.other_script", "neither Chinese nor Latin script")
COPY = Message.of("examples.copy", "passage is a copy of another one")
GENERIC = Message.of("examples.generic", "query stands for too many passages")

# of a language model's queries
SILENT = Message.of("examples.silent", "passage got no answer")
REFUSED = Message.of("examples.refused", "passage was refused by the endpoint")
NO_LIST = Message.of("examples.no_list", "answer is not a JSON list of texts")
TWICE = Message.of("examples.twice", "query came twice")
QUERY_LENGTH = Message.of("examples.query_length", "query too short or too long")
OTHER_LANGUAGE = Message.of("examples.other_language", "query in another language than its passage")
COPIED = Message.of("examples.copied", "query copied from the passage")

# of files
CONTRADICTING = Message.of("examples.contradicting", "negatives that are also a positive of their row")
BAD_ROW = Message.of("examples.bad_row", "rows that could not be read")
NEUTRAL = Message.of("examples.neutral", "inferences that neither follow nor contradict")
NOT_IN_CORPUS = Message.of("examples.not_in_corpus", "judged documents that the corpus does not have")


def few_voters(voters: int) -> Message:
    """Return the reason for judgements that too few voters stand behind."""
    return Message.of("examples.few_voters", "judgements with fewer than {voters} voters", voters=voters)


def counted(counts: Counts) -> list[Message]:
    """Return a message for each count that is not 0: `4 disputed judgements`."""
    return [
        Message.of("examples.counted", "{count:,} {what}", count=count, what=what)
        for what, count in counts.items()
        if count
    ]


def counts_json(counts: Counts) -> list[dict[str, Any]]:
    """Return counts for a JSON file."""
    return [{"what": what.as_json(), "count": count} for what, count in counts.items()]


def counts_from_json(value: object) -> dict[Message, int]:
    """Return what `counts_json` wrote; an object of sentences, as older files have, becomes plain messages.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(value, Mapping):
        return {Message.plain(str(sentence)): int(count) for sentence, count in value.items()}
    if not isinstance(value, list):
        raise TypeError(f"counts are a {type(value).__name__}; expected a list")
    return {Message.from_json(entry["what"]): int(entry["count"]) for entry in value}
