"""The published layouts of evaluation data sets: which files of a folder belong to which split.

    BEIR                corpus.jsonl  queries.jsonl  qrels/SPLIT.tsv (or .jsonl, .csv, .json, .txt)
    FlagEmbedding       corpus.jsonl  SPLIT_queries.jsonl  SPLIT_qrels.jsonl
    TREC                topics.txt (or topics.tsv, queries.jsonl), qrels.txt (or qrels.tsv), and a corpus.jsonl where
                        there is one; more than one split: topics.SPLIT.txt with qrels.SPLIT.txt

Each file may end in .gz.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from quarry.indexer.errors import CorpusError
from quarry.indexer.messages import Message

_PREFERRED = ("test", "dev")  # the split taken when none is named and there are several
_ENDING = r"(?:\.(?:tsv|txt|trec|xml|csv|jsonl?|qrels))?(?:\.gz)?"
_NAMED_SPLIT = r"(?:[._-](?P<split>(?!(?:tsv|txt|trec|xml|csv|jsonl?|gz)(?:\.|$)).+?))?"


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """The files of one split."""

    queries: Path
    qrels: Path


def splits_of(path: Path) -> dict[str, SplitFiles]:
    """Return the files of each split, by the first layout that fits.

    Raises:
        CorpusError: If it is not a folder, or has none of the layouts.
    """
    if not path.is_dir():
        raise CorpusError(
            "data.no_folder",
            "{path} is not a folder",
            expected="a data set folder",
            do="Give the folder that holds its files",
            path=path,
        )
    splits = _beir(path) or _flag_embedding(path) or _trec(path)
    if not splits:
        names = sorted(child.name for child in path.iterdir())[:8]
        raise CorpusError(
            "data.no_data_set",
            "{path}: no data set here (found {names})",
            expected="queries.jsonl with qrels/SPLIT.tsv (BEIR), SPLIT_queries.jsonl with SPLIT_qrels.jsonl (FlagEmbedding), or "
            "topics with qrels (TREC)",
            path=path,
            names=names or Message.of("data.nothing", "nothing"),
        )
    return splits


def chosen_split(path: Path, splits: Mapping[str, SplitFiles], split: str | None) -> str:
    """Return the split that is meant: the one that is named, else the only one, else `test`, else `dev`.

    Raises:
        CorpusError: If there is no such split, or several and none is named.
    """
    wanted = split if split is not None else next((name for name in _PREFERRED if name in splits), None)
    if wanted is None and len(splits) == 1:
        return next(iter(splits))
    if wanted is None or wanted not in splits:
        problem = (
            Message.of("data.no_split_named", "no split was named")
            if wanted is None
            else Message.of("data.no_split", "there is no split {split}", split=repr(wanted))
        )
        raise CorpusError(
            "data.which_split",
            "{path}: {problem}",
            expected="one of {splits}",
            do="Name the split",
            path=path,
            problem=problem,
            splits=sorted(splits),
        )
    return wanted


def existing(path: Path) -> Path | None:
    """Return a file or its .gz, whichever is there; None without either."""
    return next((found for found in (path, path.with_name(path.name + ".gz")) if found.is_file()), None)


def _matching(folder: Path, pattern: str) -> dict[str, Path]:
    """Return the files of a folder whose whole name fits, by the pattern's group `split`; plain goes before .gz."""
    found: dict[str, Path] = {}
    for child in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = re.fullmatch(pattern, child.name)
        if match and child.is_file():
            found.setdefault(match["split"] or "", child)
    return found


def _beir(path: Path) -> dict[str, SplitFiles]:
    queries = existing(path / "queries.jsonl")
    qrels = _matching(path / "qrels", r"(?P<split>.+?)\.(?:tsv|txt|trec|csv|qrels|jsonl?)(?:\.gz)?")
    return {name: SplitFiles(queries, file) for name, file in qrels.items()} if queries else {}


def _flag_embedding(path: Path) -> dict[str, SplitFiles]:
    queries = _matching(path, r"(?P<split>.+)_queries\.jsonl(?:\.gz)?")
    qrels = _matching(path, r"(?P<split>.+)_qrels\.jsonl(?:\.gz)?")
    return {name: SplitFiles(queries[name], file) for name, file in qrels.items() if name in queries}


def _trec(path: Path) -> dict[str, SplitFiles]:
    topics = _matching(path, rf"(?:topics|queries){_NAMED_SPLIT}{_ENDING}")
    qrels = _matching(path, rf"qrels{_NAMED_SPLIT}{_ENDING}")
    return {
        name or "all": SplitFiles(topics.get(name) or topics[""], file)
        for name, file in qrels.items()
        if name in topics or "" in topics
    }
