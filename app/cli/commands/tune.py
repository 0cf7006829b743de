"""`quarry tune`: fine-tune on user feedback; promote the result only if held-out queries show it is better."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarry.app.cli.console import ProgressBar, note, out_json
from quarry.app.cli.exits import EXIT_REFUSED, interruptible, usage_errors
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import EndpointModelOption, EndpointOption, RouteName
from quarry.app.cli.settings_file import read_settings
from quarry.app.words import words

if TYPE_CHECKING:
    from quarry.indexer.messages import Message
    from quarry.training.fit.loop.progress import TrainProgress
    from quarry.training.fit.spec import TrainSpec
    from quarry.training.negatives.spec import NegativeSpec
    from quarry.training.tuning.loop import TuningReport
    from quarry.training.tuning.plan import SyntheticSource, TuningPlan
    from quarry.training.tuning.query_shift.spec import QueryShiftSpec
    from quarry.training.tuning.second_stage.spec import SecondStageSpec


class What(StrEnum):
    """What to tune."""

    embedder = "embedder"
    reranker = "reranker"
    second_stage = "second-stage"
    queries = "queries"
    search = "search"


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "tune",
        cls=IndexCommand,
        short_help="Fine-tune a model or the search of an index.",
        help="Fine-tune the embedding model, reranker or search of an index on feedback and pairs; it goes live only if shown to be "
        "better. Exits with 4 if refused.",
    )(tune)


def tune(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    what: Annotated[
        What,
        typer.Option(
            help="What to tune: a model (minutes to hours), or what encodes no passage again: the search as a whole (search), how questions "
            "move and how much BM25 counts (queries), or the second stage on token states (second-stage)."
        ),
    ] = What.embedder,
    reranker: Annotated[
        str,
        typer.Option(
            help="With --what reranker: the base model. auto (the one search uses), from-encoder (built from the embedding "
            "model of the index; needs thousands of pairs), a repository id or a folder."
        ),
    ] = "auto",
    pairs: Annotated[
        list[Path] | None,
        typer.Option(
            "--pairs",
            help="Additional training pairs: FlagEmbedding or Sentence Transformers rows as jsonl, json, csv or tsv, or a BEIR "
            "folder (train split).",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse files of pairs with bad rows, instead of leaving the rows out.")
    ] = False,
    candidate_pool: Annotated[
        list[Path] | None,
        typer.Option(
            "--candidate-pool",
            help="Additional passages to mine negatives from, for pairs whose passage is not in the index: JSON lines with a "
            "text field, or a BEIR corpus.jsonl. At most 100,000 are used.",
        ),
    ] = None,
    mine_corpus: Annotated[
        bool, typer.Option("--mine-corpus", help="Also mine pairs from the documents: titles, headings, questions.")
    ] = False,
    synthetic: Annotated[
        int,
        typer.Option(
            help="Generate queries with a language model for N passages, one call each; the passages are sent to --endpoint.",
            min=0,
        ),
    ] = 0,
    endpoint: EndpointOption = "",
    endpoint_model: EndpointModelOption = "",
    personas: Annotated[
        Path | None,
        typer.Option(
            help="With --synthetic: file of personas who ask, JSON lines with a field persona. Default: six of each language."
        ),
    ] = None,
    no_feedback: Annotated[bool, typer.Option("--no-feedback", help="Ignore the feedback log of the index.")] = False,
    one_person: Annotated[
        bool, typer.Option("--one-person", help="Accept feedback from a single session, for an index with one user.")
    ] = False,
    evaluate: Annotated[
        Path | None,
        typer.Option(help="Judged queries (BEIR folder) for the verdict, instead of held-out examples."),
    ] = None,
    most: Annotated[int | None, typer.Option(help="Use at most this many examples.", min=1)] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with training settings (TrainSpec, RerankerSpec, SecondStageSpec, QueryShiftSpec or SearchSpec). Default: a preset for the device."
        ),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows per step.", min=2)] = None,
    epochs: Annotated[int | None, typer.Option(help="Number of training epochs.", min=1)] = None,
    temperature: Annotated[float | None, typer.Option(help="Similarities are divided by it.")] = None,
    negatives: Annotated[int, typer.Option(help="Mined negatives per example.", min=1)] = 4,
    ranks: Annotated[
        str | None,
        typer.Option(
            "--range-for-sampling",
            help="Ranks of the model's ranking to sample negatives from. Default: 2-200, and for pairs of files the nearest passages "
            "by BM25 as well.",
        ),
    ] = None,
    route: Annotated[RouteName, typer.Option(help="Route to judge by.")] = RouteName.hybrid,
    seed: Annotated[int, typer.Option(help="Seed for the split, negatives and order.", min=0)] = 0,
    run: Annotated[str | None, typer.Option(help="Run name; an interrupted run of this name is resumed.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote even against the verdict; this is recorded.")] = False,
    dry_run: Annotated[bool, typer.Option("--no-promote", help="Train and judge only; promote nothing.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    processes: Annotated[
        int, typer.Option(help="Train the embedder in so many processes, one per GPU; the batch is shared out.", min=1)
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
) -> None:
    """Tune the model or reranker of an index."""
    from quarry.demo_corpus import general_path
    from quarry.training.examples.split import SplitSpec
    from quarry.training.tuning import TuningPlan, TuningSources

    flags = {"learning_rate": learning_rate, "batch_size": batch_size, "epochs": epochs}
    with usage_errors():
        plan = TuningPlan(
            general=general_path(),
            sources=TuningSources(
                feedback=not no_feedback,
                pairs=tuple(pairs or ()),
                candidate_pool=tuple(candidate_pool or ()),
                corpus=mine_corpus,
                most=most,
                one_person=one_person,
                synthetic=_synthetic(synthetic, endpoint, endpoint_model, personas),
                strict=strict,
            ),
            split=SplitSpec(seed=seed),
            evaluate=evaluate,
            negatives=_negatives(ranks, negatives, seed),
            spec=_spec(_given(settings, seed, flags, temperature), what=what, device=device),
            reranker=reranker,
            route=route.value,
            force=force,
            promote=not dry_run,
            device=device,
            processes=processes,
        )
    report = _run(index, plan, run, quiet=quiet)
    if as_json:
        verdict = report.verdict.message()
        out_json({**report.to_dict(), "words": {"en": words(verdict, "en"), "zh": words(verdict, "zh")}})
    else:
        from quarry.app.cli.printed.tuning import print_report

        print_report(index, report, plan)
    if not (report.promoted or report.verdict.promote):
        raise typer.Exit(EXIT_REFUSED)


def _negatives(ranks: str | None, number: int, seed: int) -> "NegativeSpec":
    from quarry.training.negatives.spec import NegativeSpec, rank_window

    if ranks is None:
        return NegativeSpec(number=number, seed=seed)
    return NegativeSpec(ranks=rank_window(ranks), neighbours=False, number=number, seed=seed)


def _run(index: Path, plan: "TuningPlan", run: str | None, *, quiet: bool) -> "TuningReport":
    from quarry.training.tuning import tune as tune_index

    watch = _Watch(plan, quiet=quiet)
    with interruptible(
        watch, "progress is kept: pass the run's name with --run to resume. The live model is unchanged"
    ):
        return tune_index(index, plan, run=run, observer=watch)


@dataclass(frozen=True, slots=True)
class _Given:
    """Training settings: those of the file, and those of the command line, which come before them and before a preset."""

    file: dict[str, Any] | None
    flags: dict[str, Any]
    seed: int

    def over(self, preset: dict[str, Any]) -> dict[str, Any]:
        """Return all settings; the file replaces the preset as a whole."""
        base = {"seed": self.seed, **(preset if self.file is None else self.file)}
        return {
            **base,
            **{
                name: {**base.get(name, {}), **value} if isinstance(value, dict) else value
                for name, value in self.flags.items()
            },
        }


def _given(settings: Path | None, seed: int, flags: dict[str, float | None], temperature: float | None) -> _Given:
    chosen: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    if temperature is not None:
        chosen["loss"] = {"temperature": temperature}
    return _Given(None if settings is None else read_settings(settings), chosen, seed)


def _spec(given: _Given, *, what: What, device: str) -> "TrainSpec | SecondStageSpec | QueryShiftSpec":
    from quarry.indexer.models.loading import choose_device
    from quarry.retriever.models.recorded import usable_device
    from quarry.training.fit.spec import RerankerSpec, TrainSpec, train_preset
    from quarry.training.tuning.query_shift.spec import QueryShiftSpec
    from quarry.training.tuning.search.spec import SearchSpec
    from quarry.training.tuning.second_stage.spec import SecondStageSpec

    if what is What.second_stage:
        return SecondStageSpec.of(given.over({}))
    if what is What.queries:
        return QueryShiftSpec.of(given.over({}))
    if what is What.search:
        return SearchSpec.of(given.over({}))
    reranker = what is What.reranker
    preset = train_preset(reranker=reranker, device=choose_device(usable_device(device)[0]), seed=given.seed)
    return (RerankerSpec if reranker else TrainSpec).of(given.over(preset.model_dump(exclude_unset=True)))


def _synthetic(passages: int, url: str, model: str, personas: Path | None) -> "SyntheticSource | None":
    from quarry.indexer.errors import SettingsError
    from quarry.retriever.llm.endpoint import Endpoint
    from quarry.training.tuning.plan import SyntheticSource

    if not passages and personas is not None:
        raise SettingsError(
            "cli.personas_without_synthetic",
            "--personas was given without --synthetic",
            expected="the number of passages to have queries written for",
            do="Give --synthetic N, or leave --personas out",
        )
    if not passages:
        return None
    if not url or not model:
        raise SettingsError(
            "cli.synthetic_without_model",
            "--synthetic {passages} needs an endpoint and a model",
            expected="both",
            do="Give --endpoint URL and --endpoint-model NAME, or set QUARRY_LLM_ENDPOINT and QUARRY_LLM_MODEL",
            passages=passages,
        )
    return SyntheticSource(passages, Endpoint(url, model), personas)


class _Watch(ProgressBar):
    """A build's progress bar that also prints stages, numbered as steps, and training steps."""

    def __init__(self, plan: "TuningPlan", *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._what = plan.what

    def stage(self, message: "Message") -> None:
        """Print what began or was found out."""
        from quarry.training.tuning.steps import step_of

        self.close()
        if not self._quiet:
            step = step_of(self._what, message)
            note(f"step {step[0]} of {step[1]}: {message}" if step else str(message))

    def training(self, progress: "TrainProgress") -> None:
        """Print a training step."""
        from quarry.training.fit.loop.progress import terminal_observer

        if not self._quiet:
            terminal_observer()(progress)
