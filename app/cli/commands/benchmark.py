"""`quarry benchmark`: score an embedding model with mteb on local data, in the six task types of C-MTEB, offline."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarry.app.cli.console import DeviceOption, ExamplesOption, fields, note, out, out_json, table
from quarry.app.cli.exits import usage_errors
from quarry.app.cli.help import QuarryCommand

if TYPE_CHECKING:
    from quarry.retriever.benchmark.task_data import TaskChoice

_HELP = """Score an embedding model with mteb on local data: retrieval, reranking, STS, classification, pair classification,
clustering and bitext mining.

--data contains one folder per dataset; files may be gzipped:

\b
Retrieval          corpus.jsonl queries.jsonl qrels/test.tsv
Reranking          the same; reranks BM25 candidates
STS                test.jsonl: sentence1 sentence2 score
PairClassification test.jsonl: sentence1 sentence2 label (0, 1)
BitextMining       test.jsonl: sentence1 sentence2
Classification     test.jsonl train.jsonl: text label
Clustering         test.jsonl, with or without train.jsonl: text label

Results are stored in mteb's format as INTO/results/MODEL/REVISION/TASK.json. Tasks with a stored result are not rerun."""


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "benchmark", cls=QuarryCommand, help=_HELP, short_help="Score an embedding model with mteb (C-MTEB task types)."
    )(benchmark)


def benchmark(
    into: Annotated[Path | None, typer.Option("--into", help="Results folder.")] = None,
    data: Annotated[Path, typer.Option(help="Folder with one subfolder per dataset.")] = Path("data"),
    tasks: Annotated[
        str | None,
        typer.Option(help="Comma-separated NAME or NAME:TYPE, such as banking77-en:clustering. Default: all."),
    ] = None,
    model: Annotated[str, typer.Option(help="Model: auto, a repository id, or a folder.")] = "auto",
    dim: Annotated[int | None, typer.Option(help="Truncate vectors to this length (Matryoshka models).", min=1)] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Score a sample of at most this many rows or queries; the task name records it.", min=2),
    ] = None,
    examples: ExamplesOption = None,
    device: DeviceOption = "auto",
    show: Annotated[bool, typer.Option("--list", help="List the available tasks and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the benchmark.

    Raises:
        ModelError: If the model is not on this machine.
        typer.BadParameter: If no folder is given for the results, or the data folder has no known data set.
    """
    from quarry.retriever.benchmark.run import BenchmarkResult, check_mteb, run_benchmark
    from quarry.retriever.benchmark.task_data import choose_tasks, find_tasks

    names = [name.strip() for name in (tasks or "").split(",") if name.strip()]
    with usage_errors():
        choices = choose_tasks(data, names) if names else find_tasks(data)
    if show:
        _list(choices, as_json=as_json)
        return
    if into is None:
        raise typer.BadParameter("give --into FOLDER for the results")
    if not choices:
        raise typer.BadParameter(f"{data} contains no dataset in a known layout; see `quarry benchmark --help`")
    check_mteb()
    from datasets import disable_progress_bars

    from quarry.app.wiring import asked_options, choose_model

    disable_progress_bars()  # one bar per small dataset is noise

    chosen = choose_model(model, device=device, dim=dim, asked=asked_options(examples))
    for sentence in chosen.trail:
        note(f"model: {sentence}")
    if chosen.embedder is None:
        from quarry.indexer.errors import ModelError

        raise ModelError(
            "cli.nothing_to_score",
            "there is no embedding model to score",
            expected="one",
            do="Give --model, or see `quarry models`",
        )
    experiment: dict[str, Any] = {} if dim is None else {"dim": dim}
    if examples is not None:
        experiment["examples"] = sha256(chosen.embedder.spec.query_format.encode()).hexdigest()[:12]
    results: list[BenchmarkResult] = []
    for result in run_benchmark(
        chosen.embedder,
        choices,
        into,
        limit=limit,
        experiment=experiment or None,
        progress=lambda message: note(str(message)),
    ):
        note(f"  {result.measure} {result.score:.4f}" + (" (from an earlier run)" if result.reused else ""))
        results.append(result)
    if as_json:
        spec = chosen.embedder.spec
        out_json(
            {"model": spec.model, "revision": spec.revision, "dim": spec.dim, "tasks": [fields(r) for r in results]}
        )
        return
    table(
        [
            (r.task, r.kind, r.measure, f"{r.score:.4f}", r.size, " ".join(r.languages), f"{r.seconds:.0f}")
            for r in results
        ],
        ("task", "kind", "measure", "score", "scored", "languages", "seconds"),
    )
    out(f"mteb's results: {into / 'results'}")


def _list(choices: "list[TaskChoice]", *, as_json: bool) -> None:
    from quarry.retriever.benchmark.task_data import kinds_of

    rows = [(choice.folder.name, kinds_of(choice.folder)) for choice in choices]
    if as_json:
        out_json([{"name": name, "kinds": kinds} for name, kinds in rows])
    else:
        table([(name, ", ".join(kinds)) for name, kinds in rows], ("dataset", "task types"))
