"""`quarry gaps`: questions that nobody could answer, and answers to them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.console import ProgressBar, fields, note, out, out_json
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import AsOption, DeviceOption, principals_of

if TYPE_CHECKING:
    from quarry.indexer.embedder import Embedder
    from quarry.training.gaps.answered import Answered
    from quarry.training.gaps.questions import Gap

_NOTES = 3


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "gaps",
        cls=IndexCommand,
        short_help="List unanswered questions, and answer them.",
        help="List the questions that users found no answer to, grouped by meaning. With --answer, add an answer to the index: it becomes a "
        "document, a training pair and a test question. With --answered, list what was answered and whether it is found.",
    )(gaps)


def gaps(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    answer: Annotated[
        str | None, typer.Option(metavar="QUESTION", help="Answer this question and those that mean the same.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="With --answer: the answer.")] = None,
    file: Annotated[Path | None, typer.Option(help="With --answer: a text or Markdown file with the answer.")] = None,
    answered: Annotated[
        bool,
        typer.Option(
            "--answered", help="List the answered groups instead: are the answers found, what was said of them?"
        ),
    ] = False,
    seen_as: AsOption = None,
    count: Annotated[int, typer.Option("-n", help="Number of groups to list.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """List open questions, or answer one."""
    if answer is None and (text is not None or file is not None):
        raise typer.BadParameter("--text and --file require --answer")
    if answer is not None and (text is None) == (file is None):
        raise typer.BadParameter("--answer requires either --text or --file")
    if answered and answer is not None:
        raise typer.BadParameter("--answered lists answers, and --answer writes one; give one of them")
    from quarry.retriever.searcher import Searcher
    from quarry.training.feedback.log import read_events
    from quarry.training.gaps.answered import answered_gaps
    from quarry.training.gaps.questions import find_gaps

    principals = principals_of(seen_as)
    searcher = Searcher.open(index, device=device).seen_by(principals)
    events = list(read_events(index, principals))
    if answered:
        done = answered_gaps(events, searcher)
        out_json([{**fields(one), "holds": one.holds} for one in done[:count]]) if as_json else _answers(done, count)
        return
    found = find_gaps(events, searcher)
    if answer is not None:
        _answer(
            index,
            answer,
            text if text is not None else _read(Path(str(file))),
            found,
            searcher.embedder(),
            as_json=as_json,
        )
    elif as_json:
        out_json([fields(gap) for gap in found[:count]])
    else:
        _print(found, count)
        if done := answered_gaps(events, searcher):
            held = sum(one.holds for one in done)
            note(f"{len(done)} answered, of which {held} are found for all their questions; --answered lists them")


def _read(file: Path) -> str:
    from quarry.indexer.errors import CorpusError

    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise CorpusError(
            "cli.answer_unreadable",
            "the answer {file} cannot be read ({reason})",
            expected="a text file in UTF-8",
            file=file,
            reason=str(err),
        ) from err


def _answer(
    index: Path, question: str, text: str, found: "tuple[Gap, ...]", embedder: "Embedder | None", *, as_json: bool
) -> None:
    from quarry.retriever.searcher import Searcher
    from quarry.training.feedback.judgements import query_key
    from quarry.training.gaps.answered import place_of
    from quarry.training.gaps.writing import write_answer

    key = query_key(question)
    same = next((gap.questions for gap in found if key in map(query_key, gap.questions)), (question,))
    bar = ProgressBar(quiet=as_json)
    try:
        written = write_answer(index, same, text, embedder, bar)
    finally:
        bar.close()
    if as_json:
        out_json(fields(written))
        return
    out(f"{written.doc_id}: in generation {written.generation}, judged as the answer of")
    searcher = Searcher.open(index, embedder=embedder)
    for one in written.questions:
        out(f"  {one}  ({_place(place_of(written.doc_id, one, searcher))})")


def _print(found: "tuple[Gap, ...]", count: int) -> None:
    if not found:
        out("no open questions: a thumb down or a note without a good answer makes one")
    for number, gap in enumerate(found[:count], start=1):
        said = f"{gap.events} {'event' if gap.events == 1 else 'events'} of {gap.visitors} {'visitor' if gap.visitors == 1 else 'visitors'}"
        out(f"{number}. {gap.questions[0]}  ({said})")
        for other in gap.questions[1:]:
            out(f"   {other}")
        for words in gap.notes[:_NOTES]:
            out(f"   note: {' '.join(words.split())}")
        if gap.answers:
            out(f"   answered before: {', '.join(gap.answers)}")
        if gap.nearest:
            out(f"   nearest: {', '.join(near.title for near in gap.nearest)}")
    if len(found) > count:
        note(f"{len(found) - count} more; -n lists them")
    if found:
        note('answer one with `quarry gaps INDEX --answer "QUESTION" --file answer.md`')


def _answers(found: "tuple[Answered, ...]", count: int) -> None:
    if not found:
        out("no answers yet: `quarry gaps INDEX --answer` writes one")
    for number, one in enumerate(found[:count], start=1):
        out(f"{number}. {one.doc_id}  ({one.at}; since then judged right {one.good}, wrong {one.bad})")
        for question, rank in zip(one.questions, one.ranks, strict=True):
            out(f"   {question}  ({_place(rank)})")
    if len(found) > count:
        note(f"{len(found) - count} more; -n lists them")


def _place(rank: int | None) -> str:
    return "not among the first ten results" if rank is None else f"found, result {rank}"
