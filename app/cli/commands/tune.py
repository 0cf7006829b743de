"""`quarry tune`: from what users said to a better model, proven on held-out queries, or a refusal with its reasons."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.commands.search import RouteName
from quarry.app.cli.console import ProgressBar, note, out, out_json

if TYPE_CHECKING:
    from quarry.training.fit.progress import TrainProgress
    from quarry.training.fit.spec import TrainSpec
    from quarry.training.tuning.embedder_loop import TuningReport
    from quarry.training.tuning.plan import SyntheticSource, TuningPlan

EXIT_REFUSED = 4


class What(StrEnum):
    """What is tuned."""

    embedder = "embedder"
    reranker = "reranker"


EXIT_INTERRUPTED = 130


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "tune",
        help="Fine-tune the index's model, or its reranker, on feedback and pairs; it goes live only if it is shown to be better. "
        "Exit code 4: refused.",
    )(tune)


def tune(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    what: Annotated[What, typer.Option(help="What to tune.")] = What.embedder,
    reranker: Annotated[
        str,
        typer.Option(
            help="With --what reranker, the one to begin with: auto (what searching uses), from-encoder (made of the "
            "index's own model and your pairs, of which it needs thousands), an id or a folder."
        ),
    ] = "auto",
    pairs: Annotated[
        list[Path] | None,
        typer.Option(
            "--pairs", help="Also learn from these: FlagEmbedding JSONL, BEIR folder (train), pairs as jsonl or tsv."
        ),
    ] = None,
    candidate_pool: Annotated[
        list[Path] | None,
        typer.Option(
            "--candidate-pool",
            help='More passages that negatives are drawn from, for pairs whose passage is not in the index: JSON lines {"text": '
            "...}, or a BEIR corpus.jsonl. 100,000 at most are used.",
        ),
    ] = None,
    mine_corpus: Annotated[
        bool, typer.Option("--mine-corpus", help="Also make pairs of the documents: titles, headings, questions.")
    ] = False,
    synthetic: Annotated[
        int,
        typer.Option(
            help="Also have a language model write queries for so many passages, one call each; the passages are sent to "
            "--endpoint. 0 for none.",
            min=0,
        ),
    ] = 0,
    endpoint: Annotated[
        str,
        typer.Option(
            envvar="QUARRY_LLM_ENDPOINT",
            help="Base URL of an OpenAI-compatible endpoint, such as http://localhost:8000/v1. Its key comes from "
            "QUARRY_LLM_API_KEY.",
        ),
    ] = "",
    endpoint_model: Annotated[
        str, typer.Option(envvar="QUARRY_LLM_MODEL", help="The language model's name there.")
    ] = "",
    no_feedback: Annotated[bool, typer.Option("--no-feedback", help="Leave the index's feedback log out.")] = False,
    one_person: Annotated[
        bool, typer.Option("--one-person", help="One voice is enough evidence: for an index that one person uses.")
    ] = False,
    evaluate: Annotated[
        Path | None,
        typer.Option(help="Judged queries (BEIR folder) for the verdict, instead of a share of the examples."),
    ] = None,
    most: Annotated[int | None, typer.Option(help="Use at most so many examples.", min=1)] = None,
    settings: Annotated[
        Path | None,
        typer.Option(help="TOML file with training settings (TrainSpec), instead of those that suit the device."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the examples.", min=1)] = None,
    negatives: Annotated[int, typer.Option(help="Mined negatives per example.", min=1)] = 4,
    ranks: Annotated[str, typer.Option("--range-for-sampling", help="Ranks that negatives are drawn from.")] = "2-200",
    route: Annotated[RouteName, typer.Option(help="The route that the verdict is about.")] = RouteName.hybrid,
    seed: Annotated[int, typer.Option(help="Same seed, same split, negatives and order.", min=0)] = 0,
    run: Annotated[
        str | None, typer.Option(help="Name of the run; that of an interrupted one goes on with it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote even against the verdict; this is recorded.")] = False,
    dry_run: Annotated[bool, typer.Option("--no-promote", help="Only train and judge; nothing goes live.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
) -> None:
    """Tune the model of an index."""
    from quarry.demo_corpus import general_path
    from quarry.training.examples.split import SplitPlan
    from quarry.training.negatives.spec import NegativeSpec, rank_window
    from quarry.training.tuning import run_loop
    from quarry.training.tuning.plan import TuningPlan, TuningSources

    plan = TuningPlan(
        general=general_path(),
        sources=TuningSources(
            feedback=not no_feedback,
            pairs=tuple(pairs or ()),
            candidate_pool=tuple(candidate_pool or ()),
            corpus=mine_corpus,
            most=most,
            one_person=one_person,
            synthetic=_synthetic(synthetic, endpoint, endpoint_model),
        ),
        split=SplitPlan(seed=seed),
        evaluate=evaluate,
        negatives=NegativeSpec(ranks=rank_window(ranks), number=negatives, seed=seed),
        spec=_spec(settings, epochs, seed, (what, device)),
        reranker=reranker,
        route=route.value,
        force=force,
        promote=not dry_run,
        device=device,
    )
    watch = _Watch(quiet=quiet)
    try:
        report = run_loop(index, plan, run=run, observer=watch)
    except KeyboardInterrupt as err:
        note(
            "interrupted; what was reached is kept: give the run's name with --run to go on. The live model answers as before"
        )
        raise typer.Exit(EXIT_INTERRUPTED) from err
    finally:
        watch.close()
    if as_json:
        out_json(report.to_dict())
    else:
        _print(index, report, plan)
    if not (report.promoted or report.verdict.promote):
        raise typer.Exit(EXIT_REFUSED)


def _spec(settings: Path | None, epochs: int | None, seed: int, where: tuple[What, str]) -> "TrainSpec":
    import tomllib

    from quarry.indexer.errors import SettingsError
    from quarry.indexer.models.loading import choose_device
    from quarry.retriever.stages.models import usable_device
    from quarry.training.fit.spec import RerankerSpec, TrainSpec, train_preset

    what, device = where
    reranker = what is What.reranker
    if settings is None:
        preset = train_preset(reranker=reranker, device=choose_device(usable_device(device)[0]), seed=seed)
        return preset if epochs is None else preset.model_copy(update={"epochs": epochs})
    try:
        given: dict[str, object] = tomllib.loads(settings.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise SettingsError(
            f"{settings} cannot be read ({err}); expected TOML with training settings. Mend it"
        ) from err
    given.setdefault("seed", seed)
    if epochs is not None:
        given["epochs"] = epochs
    return (RerankerSpec if reranker else TrainSpec).of(given)


def _synthetic(passages: int, url: str, model: str) -> "SyntheticSource | None":
    from quarry.indexer.errors import SettingsError
    from quarry.retriever.llm.endpoint import Endpoint
    from quarry.training.tuning.plan import SyntheticSource

    if not passages:
        return None
    if not url or not model:
        raise SettingsError(
            f"--synthetic {passages} was given without {'an endpoint' if not url else 'the name of a model'}; expected both. Give "
            "--endpoint URL and --endpoint-model NAME, or set QUARRY_LLM_ENDPOINT and QUARRY_LLM_MODEL"
        )
    return SyntheticSource(passages, Endpoint(url, model))


class _Watch(ProgressBar):
    """A build's progress bar that also tells stages and training steps."""

    def stage(self, sentence: str) -> None:
        """Print a sentence."""
        self.close()
        if not self._quiet:
            note(sentence)

    def training(self, progress: "TrainProgress") -> None:
        """Print a training step."""
        from quarry.training.fit.progress import terminal_observer

        if not self._quiet:
            terminal_observer()(progress)


def _print(index: Path, report: "TuningReport", plan: "TuningPlan") -> None:
    counts = ", ".join(f"{count} {name}" for name, count in report.examples.items())
    out(f"run {report.run}: {counts}")
    before, after = report.dev
    if before is not None and after is not None:
        kept = "" if report.against else f", {report.share:.0%} of the tuned weights kept"
        out(f"  dev nDCG@10 {before:.4f} -> {after:.4f}{kept}")
    if report.against:
        out(f"  compared with {report.against}, each reordering the best {plan.rerank_depth}")
    out(f"  held-out queries by {plan.route}: {report.verdict.held_out.words()}")
    out(f"  general set: {report.verdict.general.words()}")
    for refusal in report.verdict.refusals:
        out(f"  refused: {refusal.english}")
    if report.promoted:
        against = ", against the verdict" if report.forced else ""
        out(
            f"generation {report.generation} answers now with the tuned {_noun(plan)}{against}; back: quarry models rollback {index}"
        )
    elif report.verdict.promote:
        out(f"it may be promoted, and was not (--no-promote); generation {report.generation} answers as before")
    else:
        out(f"generation {report.generation} answers as before; the tuned {_noun(plan)} is in {report.folder}")


def _noun(plan: "TuningPlan") -> str:
    return "reranker" if plan.what == "reranker" else "model"
