"""`quarry models`: the known models and whether they are installed; the models an index has used."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.console import ProgressBar, fields, note, out, out_json, table
from quarry.app.cli.help import QuarryCommand, chosen_index
from quarry.app.cli.options import LanguageOption
from quarry.app.words import InterfaceLanguage, words
from quarry.indexer.messages import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarry.indexer.storage.facts import Lineage, RerankerFacts
    from quarry.training.tuning.history import Step


class Action(StrEnum):
    """What to do."""

    list = "list"
    history = "history"
    rollback = "rollback"
    card = "card"


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "models",
        cls=QuarryCommand,
        short_help="List the known models; undo promotions; write model cards.",
        help="List the known models (list), show which models an index has used and why (history INDEX), "
        "undo the latest promotion of a model or reranker (rollback INDEX), or read and write a model card (card FOLDER): "
        "with --results the card of a model folder gets the scores of quarry benchmark, without it the averages of a card are "
        "printed.",
    )(models)


def models(
    ctx: typer.Context,
    action: Annotated[Action, typer.Argument(help="list, history, rollback or card.")] = Action.list,
    index: Annotated[
        Path | None,
        typer.Argument(
            help="The index folder, for history and rollback; default QUARRY_INDEX, or quarry.toml. "
            "For card: a model folder, or a model card."
        ),
    ] = None,
    results: Annotated[Path | None, typer.Option(help="For card: results of quarry benchmark, of one model.")] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="For card: write it here. Default with --results: README.md in the model folder."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Device on which a rollback encodes newer documents: auto, cpu, cuda or mps.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    lang: LanguageOption = "en",
) -> None:
    """List models, show or undo the promotions of an index, or read and write a model card."""
    if action is Action.list:
        _list(as_json=as_json)
        return
    if action is Action.card:
        if index is None:
            raise typer.BadParameter("card requires a model folder or a model card: quarry models card FOLDER")
        _card(index, results, to, as_json=as_json)
        return
    index = index or chosen_index(ctx)
    if index is None:
        raise typer.BadParameter(f"{action} requires the index: quarry models {action} INDEX")
    from quarry.indexer.stores.lake.view import as_index

    index = as_index(index)
    if action is Action.rollback:
        _roll_back(index, device)
    from quarry.training.tuning.history import history

    steps = history(index)
    if as_json:
        out_json([_as_json(step) for step in steps])
        return
    _print_history(steps, lang)


def _list(*, as_json: bool) -> None:
    from quarry.indexer.models.listing import list_models
    from quarry.indexer.models.source import hub_cache

    rows = list_models()
    if as_json:
        out_json([fields(row) for row in rows])
        return
    header = ("model", "kind", "languages", "dim", "tokens", "memory", "here", "note")
    table(
        [
            (
                row.model,
                row.kind,
                row.languages,
                str(row.dim or "-"),
                str(row.max_tokens),
                f"{row.memory_mb / 1000:.1f} GB",
                f"{row.here} ({row.megabytes_on_disk} MB)" if row.here else "no",
                str(row.note or ""),
            )
            for row in rows
        ],
        header,
    )
    note(f"searched {hub_cache()}; pass --model FOLDER to use a model stored elsewhere")


def _card(source: Path, results: Path | None, to: Path | None, *, as_json: bool) -> None:
    """Print the averages of a card, and write it where that was asked for."""
    from quarry.indexer.storage.files.durable import write_atomic
    from quarry.retriever.benchmark.results.averages import averages
    from quarry.retriever.benchmark.results.card import card_scores, read_card
    from quarry.retriever.benchmark.results.card_text import model_card, score_lines

    if results is None:
        card = read_card(source)
    else:
        from quarry.retriever.benchmark.results.stored import read_results
        from quarry.retriever.benchmark.run import check_mteb

        check_mteb()
        card = model_card(source, read_results(results))
        to = to or source / "README.md"
    if to is not None:
        write_atomic(to, card.text().encode())
        note(f"{len(card.entries)} entries written to {to}")
    scores = list(card_scores(card))
    if as_json:
        out_json(
            {"model": card.name, "entries": len(card.entries), "averages": fields(averages(scores)) if scores else None}
        )
    else:
        out(score_lines(card) or f"{source} has no scores")


def _roll_back(index: Path, device: str) -> None:
    from quarry.retriever.models.recorded import recorded_embedder, usable_device
    from quarry.training.tuning.promotion import roll_back

    bar = ProgressBar()
    try:
        name = roll_back(index, lambda facts: recorded_embedder(index, facts, usable_device(device)[0]), observer=bar)
    finally:
        bar.close()
    note(f"generation {name} is live, with the model from before the promotion")


def _print_history(steps: "Sequence[Step]", language: InterfaceLanguage) -> None:
    for step in steps:
        model = f"{step.model} {step.revision[:12]}" if step.model else "BM25" if step.kept else "-"
        state = _state(step)
        shown = f"  ({words(state, language)})" if state else ""
        out(f"{step.generation}  {step.at}  {model}  {words(step.reason, language)}{shown}")
        if step.lineage is not None:
            base = step.lineage.base.to_spec()
            tuned = Message.of(
                "cli.tuned_from",
                "tuned from {base} of generation {generation}, run {run}",
                base=f"{base.model} {base.revision[:12]}",
                generation=step.lineage.parent,
                run=step.lineage.run,
            )
            out(f"    {words(tuned, language)}")
            out(f"    {words(step.lineage.verdict, language)}")
        if step.second_stage is not None:
            second = Message.of(
                "cli.second_stage_tuned",
                "second stage {digest}, tuned for this index, run {run}",
                digest=step.second_stage.digest[:12],
                run=step.second_stage.run,
            )
            out(f"    {words(second, language)}")
            out(f"    {words(step.second_stage.verdict, language)}")
        if step.query_shift is not None:
            moved = Message.of(
                "cli.query_shift_learned",
                "questions move as judgements taught ({digest}), run {run}",
                digest=step.query_shift.digest[:12],
                run=step.query_shift.run,
            )
            out(f"    {words(moved, language)}")
            out(f"    {words(step.query_shift.verdict, language)}")
        if step.reranker is not None:
            facts = step.reranker
            reranker = Message.of(
                "cli.reranker_tuned_from",
                "reranker {model}, tuned from {base}, run {run}",
                model=f"{facts.model} {facts.digest[:12]}",
                base=facts.base,
                run=facts.run,
            )
            out(f"    {words(reranker, language)}")
            out(f"    {words(facts.verdict, language)}")


def _state(step: "Step") -> Message | None:
    if step.live:
        return Message.of("cli.live", "live")
    return None if step.kept else Message.of("cli.generation_removed", "generation removed")


def _as_json(step: "Step") -> dict[str, object]:
    return {
        **fields(step),
        "lineage": _promotion(step.lineage),
        "reranker": _promotion(step.reranker),
        "second_stage": _promotion(step.second_stage),
        "query_shift": _promotion(step.query_shift),
    }


def _promotion(facts: "Lineage | RerankerFacts | None") -> dict[str, object] | None:
    """Return a promotion and those before it for JSON, verdicts in English."""
    if facts is None:
        return None
    return {**facts.model_dump(), "verdict": str(facts.verdict), "before": _promotion(facts.before)}
