"""Scores as a Markdown table and as a picture: one column per model, averages first, then every task."""

from collections.abc import Mapping
from math import pi
from pathlib import Path

from quarry.indexer.errors import MissingExtraError
from quarry.retriever.benchmark.results.averages import Averages


def markdown_table(models: Mapping[str, Averages]) -> str:
    """Return a Markdown table of several models.

    An average over fewer tasks than another's is not comparable with it: the number of tasks stands in each row.

    Args:
        models: Name to averages, at least one.

    Raises:
        ValueError: If there is none.
    """
    if not models:
        raise ValueError("there are no models; expected at least one")
    kinds = list(dict.fromkeys(kind for found in models.values() for kind in found.kinds))
    tasks = list(dict.fromkeys(task for found in models.values() for task in found.tasks))
    rows = [
        ["Average over tasks", *(f"{found.overall:.2f} ({len(found.tasks)})" for found in models.values())],
        ["Average over kinds", *(f"{found.over_kinds:.2f} ({len(found.kinds)})" for found in models.values())],
    ]
    rows += [[kind, *(_counted(found, kind) for found in models.values())] for kind in kinds]
    rows += [[task, *(_shown(found, task) for found in models.values())] for task in tasks]
    head = ["", *models]
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in (head, *rows)]
    lines.insert(1, "|---|" + "---:|" * len(models))
    return "\n".join(lines) + "\n"


def draw_radar(path: Path, models: Mapping[str, Averages]) -> None:
    """Draw the averages per kind as a PNG: a radar of three kinds or more, bars of fewer.

    Args:
        path: Of the PNG.
        models: Name to averages, at least one.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as err:
        raise MissingExtraError(
            "benchmark.no_matplotlib",
            "the package matplotlib is not installed",
            expected="it for pictures",
            do="Install it with `pip install 'quarry-search[train]'`",
        ) from err
    kinds = [
        kind for kind in next(iter(models.values())).kinds if all(kind in found.kinds for found in models.values())
    ]
    figure = Figure(figsize=(7, 5), layout="constrained")
    if len(kinds) < 3:
        axes = figure.subplots()
        width = 0.8 / len(models)
        for number, (name, found) in enumerate(models.items()):
            places = [place + number * width for place in range(len(kinds))]
            axes.bar(places, [found.kinds[kind] for kind in kinds], width, label=name)
        axes.set_xticks([place + 0.4 - width / 2 for place in range(len(kinds))], kinds)
        axes.set_ylim(0, 100)
    else:
        axes = figure.add_subplot(polar=True)
        angles = [2 * pi * number / len(kinds) for number in range(len(kinds))]
        for name, found in models.items():
            values = [found.kinds[kind] for kind in kinds]
            axes.plot([*angles, angles[0]], [*values, values[0]], label=name)
            axes.fill(angles, values, alpha=0.1)
        axes.set_xticks(angles, [f"{kind}\n({found.counts[kind]})" for kind in kinds])
        axes.set_ylim(0, 100)
    figure.legend(loc="outside lower center", ncols=min(2, len(models)))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, format="png")


def _counted(found: Averages, kind: str) -> str:
    return f"{found.kinds[kind]:.2f} ({found.counts[kind]})" if kind in found.kinds else "-"


def _shown(found: Averages, task: str) -> str:
    return f"{found.tasks[task]:.2f}" if task in found.tasks else "-"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
