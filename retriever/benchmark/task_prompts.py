"""What a model's authors tell it of each task: an instruction per task, from a data file per model family (`prompts/*.toml`).

    format      how an instruction and a text become one input, with {instruction} and {query}
    formats     the same for single models of the family
    kinds       an instruction for all tasks of a kind, unless the task has its own
    prefixes    one for all tasks whose names begin so
    tasks       one per task, by mteb's name

Queries of retrieval and reranking carry the instruction and their passages do not. Tasks without sides (classification,
clustering, STS, pairs) carry it on every text; where the family has none for a task, texts are encoded without.
"""

import csv
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import SettingsError
from quarry.indexer.models.few_shot import Shot, checked_shots, read_shots, with_shots, without_shots
from quarry.indexer.models.format import with_instruction
from quarry.retriever.data.text_lines import whole_text

SEARCH_KINDS = ("Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking")
_VERSIONS = (".v2", ".v3", "HardNegatives")
_PLAIN = "{query}"


@dataclass(frozen=True, slots=True)
class TaskPrompts:
    """The instructions of a model family.

    Attributes:
        name: Of the family, or of the file.
        models: Repository ids.
        template: With {instruction} and {query}.
        templates: Repository id to its own template.
        kinds: mteb's kind of task to its instruction.
        prefixes: Beginning of a task's name to its instruction.
        tasks: Task to its instruction.
    """

    name: str
    models: tuple[str, ...]
    template: str
    templates: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    prefixes: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)

    def instruction(self, task: str, kind: str) -> str:
        """Return the instruction of a task; empty when the family has none for it.

        Example:
            >>> prompts_of("HIT-TMG/KaLM-embedding-multilingual-mini-instruct-v1").instruction("TNews", "Classification")
            'Categorizing the given news title'
        """
        return self._own(task) or self.kinds.get(kind, "")

    def query_format(self, spec: EmbedderSpec, task: str, kind: str) -> str:
        """Return how a model is asked in a task, with {query}; empty when it is asked as always.

        Args:
            spec: The model's. Its own query format is kept, but for the instruction; a model without one gets the family's.
            task: mteb's name.
            kind: mteb's kind.
        """
        own = spec.query_format != _PLAIN
        if kind in SEARCH_KINDS and own and not self._own(task):
            return ""  # the model's own instruction is the one for any question
        instruction = self.instruction(task, kind)
        if not instruction:
            return ""
        if own:
            return with_instruction(without_shots(spec.query_format), instruction)
        return self.templates.get(_base(spec.model), self.template).replace("{instruction}", instruction)

    @property
    def digest(self) -> str:
        """12 hex digits that change with any instruction."""
        content = [self.template, *(dict(part) for part in (self.templates, self.kinds, self.prefixes, self.tasks))]
        return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def _own(self, task: str) -> str:
        names = [task, *(task.removesuffix(version) for version in _VERSIONS)]
        found = next((self.tasks[name] for name in names if name in self.tasks), "")
        return found or next((text for head, text in self.prefixes.items() if task.startswith(head)), "")


def prompts_of(model: str) -> TaskPrompts | None:
    """Return the instructions that belong to a model or to the one that it was tuned from; None when there are none."""
    wanted = _base(model).lower()
    return next((family for family in families() if wanted in [each.lower() for each in family.models]), None)


@cache
def families() -> tuple[TaskPrompts, ...]:
    """Return the families that come with the package."""
    folder = files("quarry.retriever.benchmark") / "prompts"
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return tuple(_parsed(entry.name.removesuffix(".toml"), entry.read_text(encoding="utf-8")) for entry in found)


def read_prompts(path: Path) -> TaskPrompts:
    """Read instructions from a file of the same form as those of the package.

    Raises:
        SettingsError: If it cannot be read, or is not of that form.
    """
    try:
        return _parsed(path.stem, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as err:
        raise SettingsError(
            "benchmark.bad_prompts",
            "{path} cannot be used ({reason})",
            expected="TOML with format and a table tasks, such as {example}",
            do="Fix the file",
            path=path,
            reason=str(err),
            example='[tasks] TNews = "Categorize the given news title"',
        ) from err


def read_task_shots(source: Path, task: str) -> tuple[Shot, ...]:
    """Return the examples of one task: a file for all tasks, or a folder with TASK.jsonl, TASK.json or TASK.csv each.

    A csv file has two columns, queries and responses, under a line of headings, as FlagEmbedding's evaluation reads them.

    Args:
        source: The file or folder.
        task: mteb's name.

    Raises:
        SettingsError: If a file cannot be read or an example lacks a part.
    """
    if not source.is_dir():
        return read_shots(source)
    for ending in (".jsonl", ".json", ".csv"):
        path = source / f"{task}{ending}"
        if path.is_file():
            return _from_csv(path) if ending == ".csv" else read_shots(path)
    return ()


def shown_format(query_format: str, shots: tuple[Shot, ...]) -> str:
    """Return a query format with the examples of a task in front, whose own instructions are not used: the task has one."""
    return with_shots(query_format, (Shot(shot.query, shot.response) for shot in shots)) if shots else query_format


def _from_csv(path: Path) -> tuple[Shot, ...]:
    rows = [row for row in csv.reader(StringIO(whole_text(path))) if row]
    bad = next((number for number, row in enumerate(rows, start=1) if len(row) < 2), None)
    if bad is not None or len(rows) < 2:
        raise SettingsError(
            "benchmark.bad_examples",
            "{path}: line {number} has fewer than two columns",
            expected="queries and responses under a line of headings",
            do="Fix the file",
            path=path,
            number=bad or len(rows) + 1,
        )
    return checked_shots((row[0], row[1]) for row in rows[1:])


def _parsed(name: str, text: str) -> TaskPrompts:
    found = tomllib.loads(text)
    template = found.get("format", "Instruct: {instruction}\nQuery: {query}")
    if not isinstance(template, str) or template.count("{instruction}") != 1 or template.count(_PLAIN) != 1:
        raise ValueError("format needs {instruction} and {query}, once each")
    return TaskPrompts(
        name,
        tuple(map(str, found.get("models", ()))),
        template,
        _texts(found, "formats"),
        _texts(found, "kinds"),
        _texts(found, "prefixes"),
        _texts(found, "tasks"),
    )


def _texts(found: Mapping[str, Any], name: str) -> dict[str, str]:
    table = found.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise ValueError(f"{name} is not a table of texts")
    return dict(table)


def _base(model: str) -> str:
    return model.partition("+tuned-")[0]
