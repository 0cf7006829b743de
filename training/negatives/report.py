"""What mining did, for a person to judge before anything is trained: Markdown to read and JSON to keep."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from quarry.indexer.errors import FeedbackError
from quarry.indexer.storage.durable import write_atomic
from quarry.training.examples.example import Example
from quarry.training.examples.histogram import Histogram
from quarry.training.negatives.mine import MinedExample, MinedSet

Report: TypeAlias = dict[str, Any]
"""JSON-able: `title`, `facts` (name -> number or text), `left_out` (reason -> count), `distributions`, `shown`, `listed`."""

SHOWN = 10
_CUT = 220  # characters of a passage that are shown


def mining_report(mined: MinedSet, *, shown: int = SHOWN, listed: int = 20) -> Report:
    """Describe mined negatives.

    Args:
        mined: What mining gave.
        shown: Examples shown with their negatives, drawn with the spec's seed.
        listed: Dropped examples that are named; the rest are counted.
    """
    negatives = [negative for one in mined.kept for negative in one.negatives]
    total = len(mined.kept) + len(mined.dropped)
    facts = {
        "examples": total,
        "kept": len(mined.kept),
        "dropped: positive not within the first ranks": len(mined.dropped),
        "share dropped": _share(len(mined.dropped), total),
        "negatives": len(negatives),
        "negatives per example": round(len(negatives) / max(1, len(mined.kept)), 2),
        "candidates in the windows": mined.candidates,
        "share of candidates taken out": _share(sum(mined.removed.values()), mined.candidates),
        "examples with too few candidates": mined.short,
        "similarity of unrelated texts": round(mined.floor, 4),
        **{f"negatives {kind}": count for kind, count in sorted(Counter(n.kind for n in negatives).items())},
        **_by_language([one.example for one in mined.kept]),
    }
    scores = {
        "similarity of positives": [one.positive_score for one in mined.kept if one.positive_score is not None],
        "similarity of negatives": [n.score for n in negatives if n.score is not None],
    }
    both = [value for values in scores.values() for value in values]
    span = (min(both), max(both)) if both else None
    ranks = [one.positive_rank for one in mined.kept if one.positive_rank is not None]
    distributions = {name: asdict(Histogram.of(values, span=span)) for name, values in scores.items()}
    distributions["rank of the positive"] = asdict(Histogram.of(ranks, bins=10))
    distributions["rank of the negatives"] = asdict(Histogram.of([n.rank for n in negatives if n.rank], bins=10))
    drawn = np.random.default_rng(mined.spec.seed).permutation(len(mined.kept))[:shown]
    return {
        "title": "Mined negatives",
        "spec": asdict(mined.spec),
        "facts": facts,
        "left_out": mined.removed,
        "distributions": distributions,
        "shown": [_shown(mined.kept[row]) for row in sorted(drawn)],
        "listed": {
            "Dropped, with the rank of the positive": [
                f"{_cut(example.row.query)} ({'below all that was looked at' if rank is None else rank})"
                for example, rank in mined.dropped[:listed]
            ]
        },
    }


def markdown(report: Mapping[str, Any]) -> str:
    """Return a report as Markdown."""
    lines = [f"# {report['title']}", "", "| what | figure |", "|---|---|"]
    lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in report["facts"].items()]
    if report["left_out"]:
        lines += ["", "## Left out", "", "| why | how many |", "|---|---|"]
        ordered = sorted(report["left_out"].items(), key=lambda pair: (-pair[1], pair[0]))
        lines += [f"| {_cell(reason)} | {count} |" for reason, count in ordered]
    for name, found in report["distributions"].items():
        histogram = Histogram(**found)
        if histogram.counts:
            lines += ["", f"## {name[0].upper()}{name[1:]}", ""]
            lines += [
                f"mean {histogram.mean:.3f}, median {histogram.median:.3f}",
                "",
                "```text",
                *histogram.lines(),
                "```",
            ]
    if report["shown"]:
        lines += ["", "## Examples", ""]
    for number, example in enumerate(report["shown"], start=1):
        lines += [f"{number}. **{_cell(example['query'])}** ({_cell(example['about'])})", ""]
        lines += [f"   - {mark} {_cell(text)}" for mark, text in example["passages"]]
        lines.append("")
    for name, entries in report.get("listed", {}).items():
        if entries:
            lines += ["", f"## {name}", "", *(f"- {_cell(entry)}" for entry in entries)]
    return "\n".join(lines).rstrip() + "\n"


def write_report(folder: Path, name: str, report: Report) -> tuple[Path, Path]:
    """Write `NAME.md` and `NAME.json`, atomically; returns their paths.

    Raises:
        FeedbackError: If the folder cannot be written.
    """
    paths = folder / f"{name}.md", folder / f"{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(paths[0], markdown(report).encode("utf-8", "replace"))
        write_atomic(paths[1], dumps(report, ensure_ascii=False, indent=1).encode("utf-8", "replace"))
    except OSError as err:
        raise FeedbackError(
            "examples.not_written",
            "{path} could not be written ({why})",
            expected="a folder with room",
            do="Choose another",
            path=folder,
            why=str(err),
        ) from err
    return paths


def _shown(one: MinedExample) -> Report:
    score = "" if one.positive_score is None else f", similarity {one.positive_score:.3f}"
    example = one.example
    about = f"{example.origin}, {example.language}, weight {example.weight:g}, {example.source}"
    passages = [("+", _cut(text)) for text in example.row.pos] + [
        (f"- {n.kind}{f' #{n.rank}' if n.rank else ''}{'' if n.score is None else f' {n.score:.3f}'}:", _cut(n.text))
        for n in one.negatives
    ]
    return {
        "query": _cut(example.row.query),
        "about": f"{about}; positive at rank {one.positive_rank}{score}",
        "passages": passages,
    }


def _by_language(examples: Sequence[Example]) -> dict[str, int]:
    return {f"language {name}": count for name, count in sorted(Counter(e.language for e in examples).items())}


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0.0%"


def _cut(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= _CUT else joined[:_CUT] + " …"


def _cell(value: object) -> str:
    """Return text that stays text in Markdown: no table border, no HTML, no emphasis."""
    text = str(value)
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.split())
