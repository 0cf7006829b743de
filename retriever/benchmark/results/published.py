"""What the papers say of released models, beside what was measured here. A model whose weights are not here is "not at hand"."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from quarry.retriever.benchmark.results.averages import KIND_ORDER, Averages

NOT_AT_HAND = "not at hand"
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Published:
    """Published averages of one model on one benchmark, times 100.

    Attributes:
        model: Repository id.
        benchmark: As `--tasks` takes it.
        source: Paper and table.
        average: Over all tasks.
        kinds: Per kind.
    """

    model: str
    benchmark: str
    source: str
    average: float
    kinds: Mapping[str, float]


@cache
def published() -> tuple[Published, ...]:
    """Return the published averages that come with the package."""
    text = (files("quarry.retriever.benchmark") / "published.toml").read_text(encoding="utf-8")
    return tuple(
        Published(row["model"], row["benchmark"], row["source"], float(row["average"]), dict(row["kinds"]))
        for row in tomllib.loads(text)["score"]
    )


def published_table(rows: Sequence[Published], ours: Mapping[tuple[str, str], Averages], here: Sequence[str]) -> str:
    """Return a Markdown table: per model and benchmark the published averages, and ours below them.

    Args:
        rows: What was published.
        ours: Model and benchmark to what was measured here.
        here: The models whose weights are on this machine.
    """
    kinds = [kind for kind in KIND_ORDER if any(kind in row.kinds for row in rows)]
    lines = [
        "| " + " | ".join(("model", "benchmark", "from", "average", *kinds)) + " |",
        "|---|---|---|" + "---:|" * (len(kinds) + 1),
    ]
    for row in rows:
        told = [f"{row.kinds[kind]:.2f}" if kind in row.kinds else "-" for kind in kinds]
        lines.append("| " + " | ".join((row.model, row.benchmark, row.source, f"{row.average:.2f}", *told)) + " |")
        lines.append("| " + " | ".join(("", "", "here", *_ours(row, ours, here, kinds))) + " |")
    return "\n".join(lines) + "\n"


def _ours(
    row: Published, ours: Mapping[tuple[str, str], Averages], here: Sequence[str], kinds: Sequence[str]
) -> list[str]:
    found = ours.get((row.model, row.benchmark))
    if found is None:
        return [NOT_MEASURED if row.model in here else NOT_AT_HAND, *("" for _ in kinds)]
    told = [f"{found.kinds[kind]:.2f} ({found.counts[kind]})" if kind in found.kinds else "-" for kind in kinds]
    return [f"{found.overall:.2f} ({len(found.tasks)} tasks)", *told]
