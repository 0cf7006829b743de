"""Training data from files: FlagEmbedding JSONL, BEIR with train qrels, and plain pairs, as examples. It mines nothing.

    *.jsonl, *.json     {"query": text, "pos": [text, ...], "neg": [...], ...}, one object a line or in one array; `neg` may be
                        missing, and the names of other tools are known (`anchor`, `positive`, ...: see `row`)
    *.csv, *.tsv        columns of these names, or query, passage and perhaps a passage that is not relevant
    folder              BEIR when it has queries.jsonl and qrels/, else all such files in it, by name

Each file may end in .gz. Nothing is guessed: a row that does not fit is left out, counted and named, or refused when asked to.

Passages that negatives may be drawn from, out of a file: FlagEmbedding's candidate pool. It mines nothing.

    {"text": text}                   one passage a line, as FlagEmbedding's `hn_mine --candidate_pool` reads
    {"title": text, "text": text}    a BEIR corpus.jsonl; the title stands above the text, as it is embedded

The file may end in .gz.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from quarry.indexer.errors import CorpusError, FeedbackError
from quarry.indexer.messages import Message
from quarry.indexer.records import Document, passage_text
from quarry.retriever.data.datasets import documents, load_dataset
from quarry.retriever.data.text_lines import Faults, json_object, numbered_lines
from quarry.training.examples import reasons
from quarry.training.examples.example import Example, text_key
from quarry.training.examples.pair_rows import json_rows, table_rows
from quarry.training.examples.row import TrainingRow, parse_row

_JSON_EXPECTED = Message.of(
    "examples.pair_lines",
    "JSON lines or a JSON array of {form} in UTF-8 with at least one positive; {neg} may be missing; {scores} are numbers, one "
    "for each text",
    form='{"query": text, "pos": [text, ...], "neg": [text, ...]}',
    neg='"neg"',
    scores='"pos_scores" and "neg_scores"',
)
_TABLE_EXPECTED = Message.of(
    "examples.pair_table",
    "lines 'query, passage' or 'query, passage, passage that is not relevant' in UTF-8, separated by tabs (.tsv) or commas "
    "(.csv), or with a header that names the columns {columns}",
    columns=["query", "pos", "neg"],
)
_ENDINGS = {".jsonl": "json", ".json": "json", ".csv": "table", ".tsv": "table"}
_SHOWN = 3  # bad rows of a file that are named


@dataclass(frozen=True, slots=True)
class PairFile:
    """What was read.

    Attributes:
        examples: In the order of the files and lines.
        left_out: Why something was not used, with counts; for a person to read.
        bad_rows: The first rows that do not fit, with file, line and reason.
    """

    examples: tuple[Example, ...]
    left_out: reasons.Counts = field(default_factory=dict)
    bad_rows: tuple[Message, ...] = ()


def read_pairs(path: Path, *, split: str = "train", strict: bool = False) -> PairFile:
    """Read a file, a folder of files, or a BEIR folder.

    Rows of the same query stay apart, as in the file; a negative that is also a positive of its row is left out.

    Args:
        path: What to read.
        split: Which judgements of a BEIR folder.
        strict: Whether a bad row is an error; otherwise it is left out and counted.

    Raises:
        FeedbackError: If nothing is there to be read, the kind of a file is unknown, no row fits, or a row does not and
            `strict` is on; file, line and reason of the first ones are named.

    Example:
        >>> rows = ["anchor,positive,negative", "how to renew,Renew online.,", "opening hours,,"]
        >>> _ = Path("pairs.csv").write_text(chr(10).join(rows))
        >>> found = read_pairs(Path("pairs.csv"))
        >>> [example.row.pos for example in found.examples]
        [('Renew online.',)]
        >>> [str(row) for row in found.bad_rows]
        ['pairs.csv:3: pos is missing; expected a list of texts']
    """
    try:
        if path.is_dir() and (path / "qrels").is_dir():
            return _read_beir(path, split)
        rows: list[tuple[str, TrainingRow]] = []
        bad: list[Faults] = []
        for file in data_files(path):
            found, faults = _read_file(file)
            if strict or not found:
                faults.raise_if_any()
            rows += found
            bad.append(faults)
    except CorpusError as err:
        raise FeedbackError.of(err.message) from err
    if not rows:
        raise FeedbackError(
            "examples.no_pairs",
            "{path} has no pairs",
            expected="{json}, or {tsv}",
            do="Choose another file",
            path=path,
            json=_JSON_EXPECTED,
            tsv=_TABLE_EXPECTED,
        )
    cleaned = [(source, *without_contradiction(row)) for source, row in rows]
    counts = {
        reasons.CONTRADICTING: sum(dropped for _, _, dropped in cleaned),
        reasons.BAD_ROW: sum(faults.count for faults in bad),
    }
    examples = tuple(Example.of(row, source=source) for source, row, _ in cleaned)
    return PairFile(examples, _nonzero(counts), tuple(row for faults in bad for row in faults.shown[:_SHOWN]))


def data_files(path: Path) -> list[Path]:
    """Return the files of pairs in a folder, by name; a file, and a BEIR folder, is its own.

    Raises:
        FeedbackError: If a folder has none.
    """
    if not path.is_dir() or (path / "qrels").is_dir():
        return [path]
    found = sorted(child for child in path.iterdir() if child.is_file() and _kind(child))
    if not found:
        raise FeedbackError(
            "examples.no_data",
            "{path} has no .jsonl, .json, .csv or .tsv file and no qrels folder",
            expected="training data",
            do="Choose another folder",
            path=path,
        )
    return found


def _kind(path: Path) -> str:
    """Return `json`, `table`, or an empty string for other files."""
    return _ENDINGS.get(Path(path.name.lower().removesuffix(".gz")).suffix, "")


def _read_file(path: Path) -> tuple[list[tuple[str, TrainingRow]], Faults]:
    """Return the rows, each with its place, and what is wrong with the others."""
    kind = _kind(path)
    if not kind:
        raise FeedbackError(
            "examples.kind",
            "{path} is of an unknown kind",
            expected=".jsonl, .json, .csv or .tsv (or .gz of it)",
            do="Rename it",
            path=path,
        )
    faults = Faults(path, _JSON_EXPECTED if kind == "json" else _TABLE_EXPECTED)
    rows = []
    for number, content in json_rows(path) if kind == "json" else table_rows(path):
        row = parse_row(content, plain=True) if isinstance(content, dict) else content
        if isinstance(row, Message):
            faults.add(number, row)
        else:
            rows.append((f"{path.name}:{number}", row))
    return rows, faults


def without_contradiction(row: TrainingRow) -> tuple[TrainingRow, int]:
    """Leave out negatives that read like a positive, with their scores; returns how many."""
    if not row.neg:
        return row, 0
    good = {text_key(text) for text in row.pos}
    keep = [place for place, text in enumerate(row.neg) if text_key(text) not in good]
    if len(keep) == len(row.neg):
        return row, 0
    scores = tuple(row.neg_scores[place] for place in keep) if row.neg_scores else ()
    neg = tuple(row.neg[place] for place in keep)
    return TrainingRow(row.query, row.pos, neg, row.pos_scores, scores, row.prompt, row.kind), len(row.neg) - len(keep)


def _read_beir(path: Path, split: str) -> PairFile:
    """Judged documents become positives (grade above 0, best first) and negatives (grade 0), texts as an index has them."""
    dataset = load_dataset(path, split)
    judged = {doc_id for grades in dataset.qrels.values() for doc_id in grades}
    texts = _texts(documents(dataset), judged)
    left_out = {
        reasons.NOT_IN_CORPUS: len(judged - texts.keys()),
        reasons.NO_POSITIVE: 0,
    }
    examples = []
    for query in dataset.queries:
        grades = sorted(dataset.qrels[query.query_id].items(), key=lambda pair: (-pair[1], pair[0]))
        good = [doc_id for doc_id, grade in grades if grade > 0 and doc_id in texts]
        bad = [doc_id for doc_id, grade in grades if grade <= 0 and doc_id in texts]
        if not good or not query.text.strip():
            left_out[reasons.NO_POSITIVE] += 1
            continue
        row, _ = without_contradiction(
            TrainingRow(query.text, tuple(texts[name] for name in good), tuple(texts[name] for name in bad))
        )
        examples.append(Example.of(row, positive_ids=good, source=f"{dataset.name}/{split}:{query.query_id}"))
    if not examples:
        raise FeedbackError(
            "examples.no_relevant",
            "{path}: no query of split {split} has a relevant document in the corpus",
            expected="at least one",
            path=path,
            split=repr(split),
        )
    return PairFile(tuple(examples), _nonzero(left_out))


def _texts(corpus: Iterable[Document], wanted: set[str]) -> dict[str, str]:
    found = (
        (document.doc_id, passage_text(document.title, "", document.text))
        for document in corpus
        if document.doc_id in wanted
    )
    return {doc_id: text for doc_id, text in found if text.strip()}


def _nonzero(counts: reasons.Counts) -> reasons.Counts:
    return {reason: count for reason, count in counts.items() if count}


_EXPECTED = Message.of(
    "examples.pool_lines",
    "JSON lines {form} in UTF-8; {title} may stand beside it",
    form='{"text": text}',
    title='"title"',
)
_NO_TEXT = Message.of("examples.pool_text", "{fields} is missing or no text", fields='"text" (or "title")')


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
            if isinstance(row, Message):
                faults.add(number, row)
            elif not isinstance(row.get("text"), str) or not isinstance(row.get("title") or "", str):
                faults.add(number, _NO_TEXT)
            else:
                found.append(passage_text(row.get("title") or "", "", row["text"]))
        faults.raise_if_any()
    except CorpusError as err:
        raise FeedbackError.of(err.message) from err
    passages = tuple(text for text in found if text.strip())
    if not passages:
        raise FeedbackError(
            "examples.no_passage",
            "{path} holds no passage",
            expected="{form}",
            do="Choose another file",
            path=path,
            form=_EXPECTED,
        )
    return passages
