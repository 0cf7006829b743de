"""Training data from files: FlagEmbedding JSONL, BEIR with train qrels, and plain pairs, as examples. It mines nothing.

    *.jsonl, *.json     {"query": text, "pos": [text, ...], "neg": [...], ...}, one object a line; `neg` may be missing
    *.tsv               query<TAB>passage[<TAB>passage that is not relevant]
    folder              BEIR when it has queries.jsonl and qrels/, else all such files in it, by name

Each file may end in .gz. Nothing is guessed: a line that does not fit is an error that names it.

Passages that negatives may be drawn from, out of a file: FlagEmbedding's candidate pool. It mines nothing.

    {"text": text}                   one passage a line, as FlagEmbedding's `hn_mine --candidate_pool` reads
    {"title": text, "text": text}    a BEIR corpus.jsonl; the title stands above the text, as it is embedded

The file may end in .gz.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from quarry.indexer.errors import CorpusError, FeedbackError
from quarry.indexer.messages import Message
from quarry.indexer.records import Document, passage_text
from quarry.retriever.data.datasets import documents, load_dataset
from quarry.retriever.data.text_lines import Faults, json_object, numbered_lines, quoted
from quarry.training.examples import reasons
from quarry.training.examples.example import Example, text_key
from quarry.training.examples.rows import TrainingRow, parse_row

_JSON_EXPECTED = (
    'JSON lines {"query": text, "pos": [text, ...], "neg": [text, ...]} in UTF-8 with at least one positive; "neg" may be '
    'missing; "pos_scores" and "neg_scores" are numbers, one for each text'
)
_TSV_EXPECTED = "lines 'query<TAB>passage' or 'query<TAB>passage<TAB>passage that is not relevant' in UTF-8"
_TSV_HEADERS = {"query", "anchor", "question", "sentence1"}
_JSON_ENDINGS = (".jsonl", ".json")


@dataclass(frozen=True, slots=True)
class PairFile:
    """What was read.

    Attributes:
        examples: In the order of the files and lines.
        left_out: Why something valid was still not used, with counts; for a person to read.
    """

    examples: tuple[Example, ...]
    left_out: reasons.Counts = field(default_factory=dict)


def read_pairs(path: Path, *, split: str = "train") -> PairFile:
    """Read a file, a folder of files, or a BEIR folder.

    Rows of the same query stay apart, as in the file; a negative that is also a positive of its row is left out.

    Args:
        path: What to read.
        split: Which judgements of a BEIR folder.

    Raises:
        FeedbackError: If nothing is there to be read, the kind of a file is unknown, or lines are bad; file, line and
            reason of the first ones are named.
    """
    try:
        if path.is_dir() and (path / "qrels").is_dir():
            return _read_beir(path, split)
        rows = [pair for file in _files(path) for pair in _read_file(file)]
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
            tsv=_TSV_EXPECTED,
        )
    cleaned = [(source, *_without_contradiction(row)) for source, row in rows]
    contradicting = sum(dropped for _, _, dropped in cleaned)
    examples = tuple(Example.of(row, source=source) for source, row, _ in cleaned)
    return PairFile(examples, _nonzero({reasons.CONTRADICTING: contradicting}))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(child for child in path.iterdir() if child.is_file() and _kind(child))
    if not found:
        raise FeedbackError(
            "examples.no_data",
            "{path} has no .jsonl, .json or .tsv file and no qrels folder",
            expected="training data",
            do="Choose another folder",
            path=path,
        )
    return found


def _kind(path: Path) -> str:
    """Return `json`, `tsv`, or an empty string for other files."""
    name = path.name.removesuffix(".gz").lower()
    return "json" if name.endswith(_JSON_ENDINGS) else "tsv" if name.endswith(".tsv") else ""


def _read_file(path: Path) -> Iterator[tuple[str, TrainingRow]]:
    kind = _kind(path)
    if not kind:
        raise FeedbackError(
            "examples.kind",
            "{path} is of an unknown kind",
            expected=".jsonl, .json or .tsv (or .gz of it)",
            do="Rename it",
            path=path,
        )
    faults = Faults(path, _JSON_EXPECTED if kind == "json" else _TSV_EXPECTED)
    rows = []
    for number, line in numbered_lines(path):
        if kind == "tsv" and number == 1 and line.split("\t")[0].strip().lower() in _TSV_HEADERS:
            continue
        row = _json_row(line) if kind == "json" else _tsv_row(line)
        if isinstance(row, str | Message):
            faults.add(number, row)
        else:
            rows.append((f"{path.name}:{number}", row))
    faults.raise_if_any()
    yield from rows


def _json_row(line: str) -> TrainingRow | Message | str:
    if line.lstrip().startswith("["):
        return "a JSON list; expected one object a line. Write each entry of the list on a line of its own"
    content = json_object(line)
    return parse_row(content, plain=True) if isinstance(content, dict) else content


def _tsv_row(line: str) -> TrainingRow | str:
    fields = [part.strip() for part in line.split("\t")]
    if len(fields) not in (2, 3):
        return f"{len(fields)} fields, expected 2 or 3 separated by tabs"
    if not all(fields):
        return f"a field is empty ({quoted(line)})"
    return TrainingRow(fields[0], (fields[1],), tuple(fields[2:]))


def _without_contradiction(row: TrainingRow) -> tuple[TrainingRow, int]:
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
        row, _ = _without_contradiction(
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
            if isinstance(row, str | Message):
                faults.add(number, row)
            elif not isinstance(row.get("text"), str) or not isinstance(row.get("title", ""), str):
                faults.add(number, '"text" (or "title") is missing or no text')
            else:
                found.append(passage_text(row.get("title", ""), "", row["text"]))
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
