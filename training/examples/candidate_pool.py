"""Passages that negatives may be drawn from, out of a file: FlagEmbedding's candidate pool. It mines nothing.

    {"text": text}                   one passage a line, as FlagEmbedding's `hn_mine --candidate_pool` reads
    {"title": text, "text": text}    a BEIR corpus.jsonl; the title stands above the text, as it is embedded

The file may end in .gz.
"""

from pathlib import Path

from quarry.indexer.errors import CorpusError, FeedbackError
from quarry.indexer.records import passage_text
from quarry.retriever.data.text_lines import Faults, json_object, numbered_lines

_EXPECTED = 'JSON lines {"text": text} in UTF-8; "title" may stand beside it'


def read_pool(path: Path) -> tuple[str, ...]:
    """Return the passages in the order of the lines, without those that are blank.

    Raises:
        FeedbackError: If the file cannot be read, holds no passage, or lines are bad; file, line and reason are named.
    """
    faults = Faults(path, _EXPECTED)
    found = []
    try:
        for number, line in numbered_lines(path):
            row = json_object(line)
            if isinstance(row, str):
                faults.add(number, row)
            elif not isinstance(row.get("text"), str) or not isinstance(row.get("title", ""), str):
                faults.add(number, '"text" (or "title") is missing or no text')
            else:
                found.append(passage_text(row.get("title", ""), "", row["text"]))
        faults.raise_if_any()
    except CorpusError as err:
        raise FeedbackError(str(err)) from err
    passages = tuple(text for text in found if text.strip())
    if not passages:
        raise FeedbackError(f"{path} holds no passage; expected {_EXPECTED}. Choose another file")
    return passages
