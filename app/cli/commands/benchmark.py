"""`quarry benchmark`: score an embedding model with mteb on local data, in the six task types of C-MTEB, offline."""

from enum import StrEnum
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarry.app.cli.console import note
from quarry.app.cli.exits import usage_errors
from quarry.app.cli.help import QuarryCommand
from quarry.app.cli.options import DeviceOption
from quarry.app.cli.printed.benchmark import print_choices, print_results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from quarry.indexer.embedder import Embedder
    from quarry.retriever.benchmark.mteb_model import Asking
    from quarry.retriever.benchmark.run import BenchmarkResult, MtebModel
    from quarry.retriever.benchmark.tasks.prepared import Choice

_HELP = """Score an embedding model with mteb on local data: the tasks and benchmarks that mteb knows, AIR-Bench, or your own data.

--tasks names what is scored, separated by commas:

\b
C-MTEB  "MTEB(cmn, v1)"  "MTEB(eng, v1)"    a benchmark of mteb
TNews  Banking77Classification              one of mteb's tasks
AIR-Bench  qa  long-doc  qa_wiki_en         AIR-Bench's data sets
NAME  NAME:TYPE                             your own folder below --data

mteb's tasks need a copy of their data below --data, as the hub publishes it (jsonl or parquet), in a folder named as the task
or as the data set. --download lets mteb fetch what is missing. Each task uses the instruction that the model's authors give it.

Your own data has one folder per dataset; files may be gzipped:

\b
Retrieval          corpus.jsonl queries.jsonl qrels/test.tsv
Reranking          the same; reranks BM25 candidates
STS                test.jsonl: sentence1 sentence2 score
PairClassification test.jsonl: sentence1 sentence2 label (0, 1)
BitextMining       test.jsonl: sentence1 sentence2
Classification     test.jsonl train.jsonl: text label
Clustering         test.jsonl, with or without train.jsonl: text label

Results are stored in mteb's format as INTO/results/MODEL/REVISION/TASK.json. Tasks with a stored result are not rerun.

\b
quarry benchmark table INTO...     averages per kind and overall, as Markdown
quarry benchmark compare A B       two models task by task, with significance
quarry benchmark released          published scores, and ours

INTO, A and B are results folders of one model. --png draws the averages per kind. released scores the models of this machine
when --into is given."""


class Action(StrEnum):
    """What to do."""

    run = "run"
    table = "table"
    compare = "compare"
    released = "released"


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "benchmark", cls=QuarryCommand, help=_HELP, short_help="Score an embedding model with mteb (C-MTEB task types)."
    )(benchmark)


def benchmark(
    action: Annotated[Action, typer.Argument(help="run, table, compare or released.")] = Action.run,
    folders: Annotated[list[Path] | None, typer.Argument(help="Results folders, for table and compare.")] = None,
    into: Annotated[Path | None, typer.Option("--into", help="Results folder.")] = None,
    data: Annotated[Path, typer.Option(help="Folder with one subfolder per dataset.")] = Path("data"),
    tasks: Annotated[
        str | None,
        typer.Option(help="Comma-separated tasks and benchmarks, see above. Default: all of your own data."),
    ] = None,
    model: Annotated[str, typer.Option(help="Model: auto, a repository id, or a folder.")] = "auto",
    dim: Annotated[int | None, typer.Option(help="Truncate vectors to this length (Matryoshka models).", min=1)] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Score a sample of at most this many rows or queries of own data; the task name records it.", min=2
        ),
    ] = None,
    instructions: Annotated[
        str, typer.Option(help="Instruction per task: auto (those of the model's authors), none, or a TOML file.")
    ] = "auto",
    search: Annotated[
        str | None,
        typer.Option(
            help="Score the whole search instead of the model, on retrieval and reranking tasks: bm25, dense, hybrid, "
            "each also with +rerank; mteb-bm25; or reranker. Users get hybrid+rerank."
        ),
    ] = None,
    rerank: Annotated[
        str, typer.Option(help="Second stage of --search: late, auto, or a reranker's id or folder.")
    ] = "late",
    examples: Annotated[
        Path | None,
        typer.Option(
            help="Examples in front of each query, for in-context models: a file for all tasks, "
            "or a folder with TASK.jsonl, TASK.json or TASK.csv."
        ),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Let mteb download data that is missing.")] = False,
    device: DeviceOption = "auto",
    png: Annotated[Path | None, typer.Option(help="Draw the averages of table or compare here.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List the available tasks and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the benchmark.

    Raises:
        ModelError: If the model is not on this machine.
        typer.BadParameter: If no folder is given for the results, or the data folder has no known data set.
    """
    if action is Action.released:
        from quarry.app.cli.printed.benchmark import show_released

        show_released(data, into, device, as_json=as_json)
        return
    if action is not Action.run:
        _show(action, folders or [], png, as_json=as_json)
        return
    if folders:
        raise typer.BadParameter("run takes no folders; give --data and --into")
    from quarry.retriever.benchmark.run import check_mteb, run_benchmark, score_tasks

    choices = _choices(tasks, data, download=download, show=show)
    if show:
        print_choices(choices, as_json=as_json)
        return
    if into is None:
        raise typer.BadParameter("give --into FOLDER for the results")
    if not choices:
        raise typer.BadParameter(f"{data} contains no dataset in a known layout; see `quarry benchmark --help`")
    check_mteb()
    from datasets import disable_progress_bars

    disable_progress_bars()  # one bar per small dataset is noise
    if search is not None:
        whole = _whole_search(search, rerank, partial(_embedder, model, device, dim))
        found = score_tasks(whole, _searchable(choices), into, limit=limit, progress=lambda message: note(str(message)))
        print_results(_noted(found), into, {"search": search}, as_json=as_json)
        return
    embedder = _embedder(model, device, dim)
    asking = _asking(embedder, instructions, examples)
    found = run_benchmark(
        embedder,
        choices,
        into,
        limit=limit,
        experiment=_experiment(asking, dim, instructions),
        asking=asking,
        progress=lambda message: note(str(message)),
    )
    spec = embedder.spec
    print_results(
        _noted(found), into, {"model": spec.model, "revision": spec.revision, "dim": spec.dim}, as_json=as_json
    )


def _noted(results: "Iterable[BenchmarkResult]") -> "list[BenchmarkResult]":
    """Return the results; each is noted as it comes."""
    found = []
    for result in results:
        note(f"  {result.measure} {result.score:.4f}" + (" (from an earlier run)" if result.reused else ""))
        found.append(result)
    return found


def _whole_search(search: str, rerank: str, embedder: "Callable[[], Embedder]") -> "MtebModel":
    """Return the search, the baseline or the reranker that is scored; the model is only loaded where the route needs it."""
    from quarry.retriever.benchmark.search_model import (
        BASELINE,
        RERANKER,
        MtebBaseline,
        MtebReranker,
        MtebSearch,
        SearchSettings,
    )

    if search == BASELINE:
        return MtebBaseline()
    if search == RERANKER:
        from quarry.indexer.models.source import resolve_model
        from quarry.retriever.rerankers.cross_encoder import load_reranker

        source = None if rerank == "late" else resolve_model(rerank, kind="reranker")
        if source is None:
            raise typer.BadParameter(
                "--search reranker requires a reranker: --rerank FOLDER, or auto where one is here"
            )
        return MtebReranker(load_reranker(source.folder, model_id=source.model))
    settings = SearchSettings(search, rerank)
    return MtebSearch(None if settings.options.route == "bm25" else embedder(), settings)


def _searchable(choices: "list[Choice]") -> "list[Choice]":
    """Return the tasks that a search can do; a note names the others.

    Raises:
        typer.BadParameter: If there is none.
    """
    from quarry.retriever.benchmark.search_model import suits

    found = [choice for choice in choices if suits(choice.kind)]
    others = [choice.name for choice in choices if not suits(choice.kind)]
    if not found:
        raise typer.BadParameter("--search scores retrieval and reranking tasks, and none was chosen")
    if others:
        note(f"{len(others)} tasks are no searches and are left out: {', '.join(others)}")
    return found


def _show(action: Action, folders: list[Path], png: Path | None, *, as_json: bool) -> None:
    """Print results that are there already."""
    from quarry.app.cli.printed.benchmark import show_comparison, show_table
    from quarry.retriever.benchmark.run import check_mteb

    check_mteb()
    if action is Action.compare:
        if len(folders) != 2:
            raise typer.BadParameter("compare requires two results folders: quarry benchmark compare A B")
        show_comparison(folders[0], folders[1], png, as_json=as_json)
        return
    if not folders:
        raise typer.BadParameter("table requires a results folder: quarry benchmark table INTO")
    show_table(folders, png, as_json=as_json)


def _choices(tasks: str | None, data: Path, *, download: bool, show: bool) -> "list[Choice]":
    """Return what is scored; tasks of a benchmark whose data is not here are left out, and a note names them."""
    from quarry.retriever.benchmark.tasks.choices import chosen

    with usage_errors():
        found = chosen(tasks or "", data, download=download)
    if found.missing and not show:
        note(f"{len(found.missing)} tasks have no data in {data} and are left out: {', '.join(found.missing)}")
    return list(found.choices)


def _embedder(model: str, device: str, dim: int | None) -> "Embedder":
    from quarry.app.wiring import choose_model
    from quarry.indexer.errors import ModelError

    chosen = choose_model(model, device=device, dim=dim)
    for sentence in chosen.trail:
        note(f"model: {sentence}")
    if chosen.embedder is None:
        raise ModelError(
            "cli.nothing_to_score",
            "there is no embedding model to score",
            expected="one",
            do="Give --model, or see `quarry models`",
        )
    return chosen.embedder


def _asking(embedder: "Embedder", instructions: str, examples: Path | None) -> "Asking":
    """Return how the model is asked in each task."""
    from quarry.retriever.benchmark.mteb_model import Asking
    from quarry.retriever.benchmark.task_prompts import prompts_of, read_prompts, read_task_shots

    if examples is not None and not examples.is_dir():
        read_task_shots(examples, "")  # a bad file ends here, before any task
    if instructions == "none":
        return Asking(None, examples)
    prompts = prompts_of(embedder.spec.model) if instructions == "auto" else read_prompts(Path(instructions))
    return Asking(prompts, examples)


def _experiment(asking: "Asking", dim: int | None, instructions: str) -> dict[str, Any] | None:
    """Return the settings that change vectors without changing the model, for the result's path."""
    found: dict[str, Any] = {} if dim is None else {"dim": dim}
    if instructions != "auto":
        found["instructions"] = asking.prompts.digest if asking.prompts else "none"
    if asking.examples is not None:
        files = sorted(asking.examples.iterdir()) if asking.examples.is_dir() else [asking.examples]
        found["examples"] = sha256(b"".join(path.read_bytes() for path in files if path.is_file())).hexdigest()[:12]
    return found or None
