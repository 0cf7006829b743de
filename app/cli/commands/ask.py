"""`quarry ask`: an answer with its sources, from a model that the user names or from the documents' own sentences."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.commands.search import RouteName, parse_filters
from quarry.app.cli.console import DeviceOption, note, out, out_json, safe
from quarry.indexer.errors import SettingsError

if TYPE_CHECKING:
    from quarry.retriever.answers.answer import GroundedAnswer
    from quarry.retriever.answers.citations import Sentence
    from quarry.retriever.answers.packing import Packed
    from quarry.retriever.llm.endpoint import Endpoint

NOT_IN_DOCUMENTS = 3
_NEAREST = 3  # passages that a refusal shows
_SHOWN_CHARS = 160  # of each


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "ask", help="Answer a question from an index, with checked citations; exit code 3: not in your documents."
    )(ask)


def ask(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    question: Annotated[str | None, typer.Argument(help="The question, in Chinese or English.")] = None,
    endpoint: Annotated[
        str,
        typer.Option(
            envvar="QUARRY_LLM_ENDPOINT",
            help="Base URL of an OpenAI-compatible endpoint, such as http://localhost:8000/v1; without one, sentences of the documents "
            "answer. Its key comes from QUARRY_LLM_API_KEY.",
        ),
    ] = "",
    model: Annotated[str, typer.Option(envvar="QUARRY_LLM_MODEL", help="The model's name there.")] = "",
    budget: Annotated[int, typer.Option(help="Tokens of passages that the model is shown.", min=256)] = 2_000,
    k: Annotated[int, typer.Option("-k", help="Hits that are looked at.", min=1)] = 10,
    route: Annotated[RouteName, typer.Option(help="First stage of the search.")] = RouteName.hybrid,
    rerank: Annotated[
        str, typer.Option(help="none, auto (one that is on this machine), a repository id or a folder.")
    ] = "auto",
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help="KEY=VALUE on metadata; repeat a key for any-of; * is a wildcard."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for each piece of the model's answer.", min=0.1)
    ] = 120.0,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Instead of asking: fit to the judged questions of this data set when an answer is not in the documents."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Ask a question."""
    if (question is None) == (calibrate is None):
        raise typer.BadParameter("give either a QUESTION or --calibrate DATASET")
    if question is None:
        _calibrate(index, str(calibrate), device)
        return
    from quarry.retriever.answers.answer import AskSettings
    from quarry.retriever.answers.answer import ask as answer_from
    from quarry.retriever.searcher import Searcher, SearchOptions

    chosen = _endpoint(endpoint, model, timeout)
    options = SearchOptions(route=route.value, rerank=rerank != "none", filters=parse_filters(filters or []))
    searcher = Searcher.open(index, rerank=rerank, device=device)
    settings = AskSettings(endpoint=chosen, budget=budget, k=k, options=options)
    if chosen is not None and not chosen.is_local:
        note(f"note: the question and the best passages are sent to {chosen.url}")
    printer = _Printer(question)
    answer = answer_from(searcher, question, settings, None if as_json else printer.sentence)
    if as_json:
        out_json(answer.to_dict())
    else:
        printer.end(answer)
    if answer.refused:
        sys.stdout.flush()
        raise typer.Exit(NOT_IN_DOCUMENTS)


def _calibrate(index: Path, dataset: str, device: str) -> None:
    from quarry.retriever.answers.calibrate import calibrate
    from quarry.retriever.data.datasets import load_dataset
    from quarry.retriever.searcher import Searcher

    searcher = Searcher.open(index, device=device)
    made = calibrate(searcher, load_dataset(Path(dataset)), searcher.embedder())
    out(f"saved: {made.calibration.origin}")
    for name, quality in (("as shipped", made.shipped), ("own, on questions it was not fitted on", made.own)):
        caught = ", ".join(f"{share:.0%} of {source}" for source, share in quality.caught.items())
        out(
            f"{name}: AUC {quality.auc:.3f}; {quality.refused:.1%} of {quality.answerable} answerable questions refused; caught {caught}"
        )


def _endpoint(url: str, model: str, timeout_s: float) -> "Endpoint | None":
    """Return where to ask, None without a URL.

    Raises:
        SettingsError: If the model is not named, or the URL is not usable.
    """
    if not url:
        return None
    if not model:
        raise SettingsError(
            f"the endpoint {url} is given without a model; expected its name there. Give --model, or set QUARRY_LLM_MODEL"
        )
    from quarry.retriever.answers.generate import endpoint_for

    return endpoint_for(url, model, timeout_s)


class _Printer:
    """Prints a model's sentences as they come, then all that is known when the answer is whole."""

    def __init__(self, question: str) -> None:
        from quarry.retriever.answers.prompt import answer_language

        self._language = answer_language(question)
        self._begun = False

    def sentence(self, sentence: "Sentence") -> None:
        """Print one sentence at once."""
        from quarry.retriever.answers.words import line

        sys.stdout.write(((sentence.gap or " ") if self._begun else "") + safe(line(sentence, self._language)))
        sys.stdout.flush()
        self._begun = True

    def end(self, answer: "GroundedAnswer") -> None:
        """Print sources and remarks; for a refusal, the nearest passages."""
        from quarry.retriever.answers.words import heading, line, place, word

        if self._begun:
            out("\n")
        if said := heading(answer):
            out(said)
        if answer.origin == "extractive":
            for number, sentence in enumerate(answer.sentences, start=1):
                out(f"{number}. {' '.join(line(sentence, self._language).split())}")
            out()
        for remark in answer.notes:
            note(f"note: {remark}")
        shown = answer.sources[:_NEAREST] if answer.refused else answer.cited
        if shown:
            out(word("nearest" if answer.refused else "sources", answer.language) + ":")
        for source in shown:
            out(place(source, answer.language))
            if answer.refused:
                out(f"    {_beginning(source)}")


def _beginning(source: "Packed") -> str:
    from quarry.retriever.answers.plain import visible

    text = " ".join(visible(source.text).split())
    return text[:_SHOWN_CHARS] + (" ..." if len(text) > _SHOWN_CHARS else "")
