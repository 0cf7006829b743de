"""The tables of a data set as the hub publishes it, read from a local copy: jsonl, json, parquet, csv or tsv, sharded or not.

A copy is a folder. Its README may say which files belong to which configuration and split (`configs:` in its head, as the hub's
data set cards do); otherwise names tell, without `data/` and shard numbers:

    test.jsonl   data/test-00000-of-00001.parquet   default/test.jsonl      the configuration `default`, split `test`
    corpus.jsonl   corpus/test.parquet   corpus/corpus-00000-of-00001.parquet     the configuration `corpus`
    en/test.jsonl   test/en.jsonl   en-corpus/test.jsonl                        the configurations `en` and `en-corpus`

Nothing is downloaded, no code of the data set runs, and no cache is written.
"""

import csv
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

from quarry.indexer.errors import CorpusError
from quarry.indexer.messages import Message
from quarry.retriever.data.text_lines import Faults, json_object, numbered_lines, whole_text

_ENDINGS = (".jsonl", ".json", ".parquet", ".csv", ".tsv")
_SHARD = re.compile(r"[-_.]\d{1,5}(?:-of-\d{1,5}(?:-[0-9a-f]+)?)?$")
_SAME_SPLIT = {"dev": "validation", "validation": "dev", "valid": "validation"}
_README_HEAD = re.compile(r"\A\ufeff?---\r?\n(.*?)\r?\n---\s*(?:\n|\Z)", re.DOTALL)
Key = tuple[str, ...]


@dataclass(frozen=True)
class LocalCopy:
    """A local copy of one data set.

    Attributes:
        folder: Where its files lie.
    """

    folder: Path

    @cached_property
    def digest(self) -> str:
        """16 hex digits that change with the name or content of any file."""
        total = sha256()
        for path in self._files:
            total.update(path.relative_to(self.folder).as_posix().encode())
            with path.open("rb") as handle:
                while block := handle.read(1 << 20):
                    total.update(block)
        return total.hexdigest()[:16]

    def splits(self, config: str) -> list[str]:
        """Return the splits of a configuration, by name."""
        known = ("train", "test", "validation", "dev", "devtest")
        declared = [split for name, split in self._declared if name == config]
        return sorted({*declared, *(split for split in known if self._paths(config, split))})

    def has(self, config: str, split: str) -> bool:
        """Tell whether there is a file for a configuration's split."""
        return bool(self._paths(config, split))

    def table(self, config: str, split: str) -> Any:
        """Return one split as a `datasets.Dataset`.

        Args:
            config: `default`, `corpus`, a language, ...
            split: Its name; `dev` and `validation` stand for each other where only one is there.

        Raises:
            CorpusError: If there is no such file, or it cannot be read.
        """
        paths = self._paths(config, split)
        if not paths:
            raise CorpusError(
                "benchmark.no_table",
                "{folder} has no file for {config}, split {split}",
                expected="one such as {example}",
                do="Copy the data set as the hub publishes it",
                folder=self.folder,
                config=config,
                split=split,
                example=f"{split}.jsonl" if config == "default" else f"{config}/{split}.jsonl",
            )
        from datasets import concatenate_datasets

        parts = [read_table(path) for path in paths]
        return parts[0] if len(parts) == 1 else concatenate_datasets(parts)

    @cached_property
    def _files(self) -> list[Path]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(
            path
            for path in found
            if path.name.removesuffix(".gz").endswith(_ENDINGS)
            and not any(part.startswith(".") for part in path.relative_to(self.folder).parts)
        )

    @cached_property
    def _by_key(self) -> dict[Key, list[Path]]:
        found: dict[Key, list[Path]] = {}
        for path in self._files:
            found.setdefault(_key(path.relative_to(self.folder)), []).append(path)
        return found

    @cached_property
    def _declared(self) -> dict[tuple[str, str], list[Path]]:
        """Files by configuration and split, as the README's head names them."""
        found: dict[tuple[str, str], list[Path]] = {}
        for config in _configs(self.folder / "README.md"):
            name = str(config.get("config_name", "default"))
            for split, patterns in _data_files(config.get("data_files")):
                inside = (path for pattern in patterns for path in self._matching(pattern))
                if paths := sorted(dict.fromkeys(inside)):
                    found[name, split] = paths
        return found

    def _matching(self, pattern: str) -> list[Path]:
        """Return the data files that a README's pattern names; a pattern that leads out of the folder names none."""
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts or not pattern:
            return []
        return [path for path in self.folder.glob(pattern) if path in self._files]

    def _paths(self, config: str, split: str) -> list[Path]:
        for name in (split, _SAME_SPLIT.get(split, split)):
            if paths := self._declared.get((config, name)):
                return paths
            for key in _keys(config, name):
                if paths := self._by_key.get(key):
                    return paths
        if config == "default":
            return []
        return self._by_key.get((config,)) or self._by_key.get((config, config)) or []


def read_table(path: Path) -> Any:
    """Return one file as a `datasets.Dataset`.

    Raises:
        CorpusError: If it cannot be read; file, line and reason are named.
    """
    from datasets import Dataset

    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return Dataset(_parquet(path))
    if name.endswith((".csv", ".tsv")):
        return Dataset.from_list(_separated(path, "\t" if name.endswith(".tsv") else ","))
    return Dataset.from_list(list(_json_rows(path)))


def _parquet(path: Path) -> Any:
    from datasets.table import InMemoryTable
    from pyarrow import ArrowException, parquet

    try:
        return InMemoryTable(parquet.read_table(path))
    except (ArrowException, OSError) as err:
        raise CorpusError(
            "benchmark.bad_parquet",
            "{path} cannot be read ({reason})",
            expected="a parquet file",
            do="Copy it again",
            path=path,
            reason=str(err).splitlines()[0][:200],
        ) from err


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of JSON lines, or of one JSON list."""
    faults = Faults(path, Message.of("benchmark.json_rows", "JSON lines, or one JSON list, of objects"))
    if path.name.removesuffix(".gz").endswith(".json"):
        try:
            found = json.loads(whole_text(path))
        except ValueError:
            found = None
        if isinstance(found, list) and all(isinstance(row, dict) for row in found):
            yield from found
            return
    for number, line in numbered_lines(path):
        row = json_object(line)
        if isinstance(row, dict):
            yield row
        else:
            faults.add(number, row)
    faults.raise_if_any()


def _separated(path: Path, sign: str) -> list[dict[str, str]]:
    text = StringIO(whole_text(path))
    if sign == "\t":
        return list(csv.DictReader(text, delimiter=sign, quoting=csv.QUOTE_NONE))
    return list(csv.DictReader(text))


def _key(relative: Path) -> Key:
    """Return what a file's path says, without `data`, the ending and the shard's number."""
    stem = relative.name.removesuffix(".gz").rpartition(".")[0]
    parts = [part for part in relative.parts[:-1] if part != "data"]
    return (*parts, _SHARD.sub("", stem))


def _keys(config: str, split: str) -> Sequence[Key]:
    """Return the paths that may hold a configuration's split, the most usual first."""
    own = ((config, split), (split, config), (f"{config}-{split}",), (f"{config}_{split}",), (f"{split}_{config}",))
    return ((split,), *own) if config == "default" else own


def _configs(readme: Path) -> list[Mapping[str, Any]]:
    """Return the configurations in a README's head; none when it has no head or says nothing."""
    import yaml

    try:
        head = _README_HEAD.match(readme.read_text(encoding="utf-8"))
        found = yaml.safe_load(head.group(1)) if head else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []  # the names of the files tell as well
    configs = found.get("configs") if isinstance(found, dict) else None
    return [config for config in configs if isinstance(config, dict)] if isinstance(configs, list) else []


def _data_files(value: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield split and patterns: `data_files` is one pattern, a list of them, or a list of splits with a path each."""
    entries = value if isinstance(value, list) else [value]
    plain = [entry for entry in entries if isinstance(entry, str)]
    if plain:
        yield "train", plain
    for entry in entries:
        if isinstance(entry, dict) and "split" in entry:
            path = entry.get("path")
            yield str(entry["split"]), [str(each) for each in (path if isinstance(path, list) else [path])]


def need_columns(folder: Path, columns: Collection[str], needed: Iterable[str], what: str) -> None:
    """Refuse a table of a local copy that lacks a column.

    Raises:
        CorpusError: If one is missing; table and columns are named.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        raise CorpusError(
            "benchmark.missing_column",
            "{folder}: {what} has no column {missing}; it has {columns}",
            expected="the columns of the published data set",
            do="Copy the data set as the hub publishes it",
            folder=folder,
            what=what,
            missing=missing,
            columns=list(columns),
        )
