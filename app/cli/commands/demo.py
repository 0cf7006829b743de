"""`quarry demo`: index the demo corpus and answer a few questions."""

from pathlib import Path
from typing import Annotated

import typer

from quarry.app.calibrating import calibrate_built
from quarry.app.cli.console import ProgressBar, note, out, out_json
from quarry.app.cli.help import QuarryCommand
from quarry.app.cli.options import DeviceOption
from quarry.app.cli.printed.answer import print_answer
from quarry.app.cli.printed.build import print_report
from quarry.app.wiring import choose_model
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.retriever.searcher import Searcher


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "demo",
        cls=QuarryCommand,
        short_help="Index and search the demo corpus.",
        help="Index the demo corpus and answer a few Chinese and English questions.",
    )(demo)


def demo(
    into: Annotated[Path, typer.Option("--into", help="Where to create the demo index.")] = Path("quarry-demo"),
    model: Annotated[
        str, typer.Option(help="Embedding model: auto, none (BM25 only), a repository id, or a folder.")
    ] = "auto",
    device: DeviceOption = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: the report, and an answer per question.")
    ] = False,
) -> None:
    """Index and search the demo corpus."""
    from quarry.demo_corpus import QUESTIONS, documents_path

    chosen = choose_model(model, device=device)
    for sentence in chosen.trail:
        note(f"model: {sentence}")
    bar = ProgressBar(quiet=as_json)
    settings = BuildOptions(model_folder=chosen.folder, notes=chosen.notes, rebuild=True)
    try:
        report = build_index(into, [documents_path()], chosen.embedder, settings, bar)
    finally:
        bar.close()
    calibrate_built(into, chosen.embedder)
    if not as_json:
        print_report(into, report, chosen)
    searcher = Searcher.open(into, embedder=chosen.embedder, device=device)
    if as_json:
        answers = [searcher.search(question, k=2).to_dict() for question in QUESTIONS]
        out_json({"index": str(into), "report": report, "answers": answers})
        return
    for question in QUESTIONS:
        out(f"\nQ: {question}")
        print_answer(searcher.search(question, k=2), explain=question == QUESTIONS[0], many=False)
    out("Next:")
    out(f'  quarry search {into} "your question" --explain')
    out("  quarry index YOUR_FOLDER --into my-index")
    out(f"  quarry doctor {into}")
    out(f"  quarry ui {into}    search, judge and compare in the browser")
