"""`quarry pairs`: training pairs out of documents and structured files; docs/training.md says how they are found and filtered."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.console import ProgressBar, note, out, out_json
from quarry.app.cli.exits import interruptible, usage_errors
from quarry.app.cli.help import QuarryCommand
from quarry.app.cli.options import DeviceOption

if TYPE_CHECKING:
    from quarry.indexer.embedder import Embedder, Progress
    from quarry.training.examples.reasons import Counts
    from quarry.training.pairs.records import PairReport


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "pairs",
        cls=QuarryCommand,
        short_help="Make training pairs out of documents and FAQs.",
        help="Make training pairs for `quarry train` out of documents (titles, headings, questions and answers, summaries, similar "
        "questions, paraphrases) and of rows with such fields (jsonl, csv, tsv, json); cleaned, without copies, and filtered by a "
        "model. The same command resumes an interrupted run.",
    )(pairs)


def pairs(
    documents: Annotated[list[Path], typer.Argument(metavar="DOCS...", help="Documents, folders, or files of rows.")],
    into: Annotated[Path, typer.Option(help="File of training rows (JSON lines).")],
    scorer: Annotated[
        str,
        typer.Option(
            help="Embedding model that judges whether two texts belong together: auto, none, a repository id or a folder. Default: "
            "the model of the offline bundle, or a BGE model that is on this machine."
        ),
    ] = "auto",
    threshold: Annotated[
        float | None, typer.Option(help="Drop pairs below this cosine; 0.43 is C-Pack's, for its own scorer.")
    ] = None,
    keep: Annotated[
        float | None, typer.Option(help="Keep this share of the pairs, those with the highest cosines, such as 0.8.")
    ] = None,
    above_random: Annotated[
        float, typer.Option(help="Without --threshold and --keep: share of random pairs that a pair must score above.")
    ] = 0.97,
    dropped: Annotated[
        Path | None, typer.Option(help="Also write the pairs that were left out to this file, each with its reason.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random pairs.", min=0)] = 0,
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
) -> None:
    """Make pairs."""
    from quarry.training.pairs.filters.scoring import FilterRule
    from quarry.training.pairs.records import PairOptions
    from quarry.training.pairs.run import make_pairs

    with usage_errors():
        options = PairOptions(FilterRule(above_random, threshold, keep), seed=seed, dropped=dropped)
    bar = ProgressBar(quiet=quiet)

    def observe(name: str, total: int | None) -> "Progress":
        bar.phase(name, total)
        return bar.advance

    with interruptible(bar, "the same command resumes"):
        report = make_pairs(documents, into, _scorer(scorer, device), options, observer=observe)
    _print(report, as_json=as_json)


def _scorer(wanted: str, device: str) -> "Embedder | None":
    from quarry.app.wiring import choose_model
    from quarry.indexer.errors import ModelError

    if wanted == "none":
        return None
    chosen = choose_model(wanted, device=device)
    if chosen.embedder is None:
        raise ModelError(
            "cli.no_scorer",
            "no embedding model is on this machine to judge the pairs",
            expected="one",
            do="Give --scorer FOLDER, or --scorer none to keep every clean pair; see `quarry models`",
        )
    return chosen.embedder


def _print(report: "PairReport", *, as_json: bool) -> None:
    from quarry.app.cli.console import fields

    if as_json:
        content = fields(report) | {"lost": _counts(report.lost), "rows": sum(report.kept.values())}
        content["steps"] = [fields(step) | {"dropped": _counts(step.dropped)} for step in report.steps]
        content["file"] = str(report.file)
        out_json(content)
        return
    for problem in report.problems:
        note(f"  {problem}")
    for message in report.notes:
        note(f"note: {message}")
    for what, count in report.lost.items():
        out(f"not read: {count:,} {what}")
    found = ", ".join(f"{count:,} {kind}" for kind, count in report.found.items() if count)
    out(f"found {sum(report.found.values()):,} pairs in {report.files:,} files: {found}")
    for step in report.steps:
        out(f"  {step.name}: {step.given:,} -> {step.kept:,}")
        for what, count in step.dropped.items():
            out(f"    {count:,} {what}")
    kept = ", ".join(f"{count:,} {kind}" for kind, count in report.kept.items() if count)
    out(f"{sum(report.kept.values()):,} rows in {report.file}: {kept} (digest {report.digest[:12]})")


def _counts(counts: "Counts") -> dict[str, int]:
    return {str(what): count for what, count in counts.items()}
