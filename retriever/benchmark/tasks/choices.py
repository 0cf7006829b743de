"""From `--tasks` to what is scored: own folders, mteb's tasks and benchmarks, AIR-Bench's data sets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.retriever.benchmark.tasks.air_bench import AIR_BENCH, find_air_bench, is_air_bench
from quarry.retriever.benchmark.tasks.named import NamedTask, check_data, is_known, named_tasks, split_names
from quarry.retriever.benchmark.tasks.prepared import Choice
from quarry.retriever.benchmark.tasks.task_data import choose_tasks, find_tasks

_AIR_TASKS = ("qa", "long-doc")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is scored.

    Attributes:
        choices: Each once, in the order in which they were named.
        missing: mteb's tasks of a benchmark that have no data here.
    """

    choices: Sequence[Choice]
    missing: Sequence[str]


def chosen(names: str, data: Path, *, download: bool = False) -> Chosen:
    """Return what `--tasks` names.

    Args:
        names: Separated by commas; empty for all own data sets. mteb's names come before folders of the same name, which
            `NAME:TYPE` reaches.
        data: Holds the data sets.
        download: Whether mteb may fetch what is not there.

    Raises:
        CorpusError: If a folder is missing or is no data set, or none of the named tasks has its data here.
        SettingsError: If a kind is unknown, or not possible with that data.
    """
    wanted = split_names(names)
    if not wanted:
        return Chosen(find_tasks(data), ())
    choices: dict[str, Choice] = {}
    missing: list[str] = []
    for name in wanted:
        for choice in _of(name, data, download=download):
            if isinstance(choice, NamedTask) and not (choice.here or download):
                missing.append(choice.name)
            else:
                choices[f"{type(choice).__name__} {choice.name}"] = choice
    return Chosen(list(choices.values()), missing)


def _of(name: str, data: Path, *, download: bool) -> Iterator[Choice]:
    head, _, wanted = name.partition(":")
    if head == AIR_BENCH or name in _AIR_TASKS or name.startswith(f"{AIR_BENCH}-") or is_air_bench(data / name):
        yield from find_air_bench(data, wanted if head == AIR_BENCH else name)
        return
    if ":" not in name and _is_mtebs(name):
        found = named_tasks(name, data)
        if not download:
            check_data(found, data)
        yield from found
        return
    yield from choose_tasks(data, [name])


def _is_mtebs(name: str) -> bool:
    """Tell whether mteb knows a name; without mteb every name is a folder's."""
    from importlib.util import find_spec

    return find_spec("mteb") is not None and is_known(name)
