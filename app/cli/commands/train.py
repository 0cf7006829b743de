"""`quarry train`: pre-train an encoder, or train an embedding model on pairs; docs/training.md has every setting."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarry.app.cli.console import note, out, out_json
from quarry.app.cli.exits import usage_errors
from quarry.app.cli.help import QuarryCommand
from quarry.app.cli.options import DeviceOption
from quarry.app.cli.settings_file import read_settings

if TYPE_CHECKING:
    from quarry.training.examples.row_files import RowFiles
    from quarry.training.examples.text_files import TextFiles
    from quarry.training.fit.loop.dev_score import DevSet
    from quarry.training.fit.run import TrainedModel
    from quarry.training.fit.stages import StageJob


class StageName(StrEnum):
    """The stage to run."""

    pretrain = "pretrain"
    general = "general"
    task = "task"
    reranker = "reranker"


class PoolingName(StrEnum):
    """How token states become one vector."""

    cls = "cls"
    mean = "mean"
    last_token = "last_token"  # noqa: S105 (no secret)


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "train",
        cls=QuarryCommand,
        short_help="Train a model on files of texts or pairs.",
        help="Train a model on files: RetroMAE on plain texts (--stage pretrain), pairs with the negatives of large batches (general), "
        "or labelled rows with instructions and hard negatives (task). The same command resumes an interrupted run. "
        "`torchrun --nproc_per_node N --no-python quarry train ...` trains in N processes.",
    )(train)


def train(
    data: Annotated[list[Path], typer.Argument(help="Files or folders of texts or pairs.")],
    model: Annotated[
        Path, typer.Option(help="Model folder to begin with, or a folder with config.json and a tokenizer.")
    ],
    into: Annotated[Path, typer.Option(help="The run's folder; the trained model is in its folder model.")],
    stage: Annotated[StageName, typer.Option(help="The stage to run.")] = StageName.task,
    settings: Annotated[Path | None, typer.Option(help="TOML file with training settings (docs/training.md).")] = None,
    dev: Annotated[
        Path | None,
        typer.Option(help="Pairs that choose among the checkpoints; none of their queries may be trained on."),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Reranker (a folder or repository id) whose scores of each row's passages are learned too; with --stage task."
        ),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows per step and process.")] = None,
    mini_batch: Annotated[
        int | None, typer.Option(help="Texts per forward with cached gradients (GradCache); 0 for off.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Similarities are divided by it.")] = None,
    hard_negatives: Annotated[int | None, typer.Option(help="Negatives drawn from each row.")] = None,
    max_query_tokens: Annotated[int | None, typer.Option(help="Longer queries are cut.")] = None,
    max_passage_tokens: Annotated[int | None, typer.Option(help="Longer passages are cut.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order, draws and dropout.")] = None,
    pooling: Annotated[
        PoolingName | None, typer.Option(help="How token states become one vector, for a model that does not say.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse files with bad rows, instead of leaving the rows out.")
    ] = False,
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
) -> None:
    """Train a model on files."""
    from quarry.training.fit.stages import StageJob

    loss = {"temperature": temperature, "hard_negatives": hard_negatives}
    flags: dict[str, Any] = {
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "mini_batch": mini_batch,
        "epochs": epochs,
        "max_query_tokens": max_query_tokens,
        "max_passage_tokens": max_passage_tokens,
        "seed": seed,
    }
    chosen = {key: value for key, value in flags.items() if value is not None}
    chosen_loss = {key: value for key, value in loss.items() if value is not None}
    given = {} if settings is None else read_settings(settings)
    given |= chosen
    if chosen_loss:
        given["loss"] = {**given.get("loss", {}), **chosen_loss}
    job = StageJob(stage.value, model, into, given, pooling.value if pooling else None, device)
    if teacher:
        job = _distilling(job)
    with usage_errors():
        rows = _rows(job, data, strict=strict)
        trained = _trained(job, _taught(job, rows, teacher, quiet=quiet) if teacher else rows, dev, quiet=quiet)
    if _first_process():
        _print(trained, as_json=as_json)


def _first_process() -> bool:
    import os

    return os.environ.get("RANK", "0") == "0"


def _distilling(job: "StageJob") -> "StageJob":
    from dataclasses import replace

    from quarry.indexer.errors import SettingsError

    if job.stage != "task":
        raise SettingsError(
            "cli.teacher_of_stage",
            "--teacher was given with --stage {stage}, which has no negatives of its own to score",
            expected="--stage task",
            do="Leave it out, or train that stage",
            stage=job.stage,
        )
    return replace(job, settings={"distillation": {}, **job.settings})


def _taught(job: "StageJob", rows: "RowFiles | TextFiles", teacher: str, *, quiet: bool) -> "RowFiles":
    from quarry.indexer.errors import ModelError
    from quarry.indexer.models.source import resolve_model
    from quarry.retriever.rerankers.cross_encoder import load_reranker
    from quarry.training.fit.rows.teacher import Teacher, taught_rows

    source = resolve_model(teacher, kind="reranker")
    if source is None:
        raise ModelError(
            "cli.no_teacher",
            "{teacher} is not on this machine",
            expected="a reranker's folder or repository id",
            do="See `quarry models`",
            teacher=teacher,
        )
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        if not quiet and (done % 1024 == 0 or done == len(rows)):
            note(f"scored {done:,} of {len(rows):,} rows")

    name = f"{source.model} {source.revision}"
    who = Teacher(name, lambda: load_reranker(source.folder, model_id=source.model, device=job.device))
    return taught_rows(rows, who, job.into, progress=tell)


def _rows(job: "StageJob", data: list[Path], *, strict: bool) -> "RowFiles | TextFiles":
    from quarry.training.examples.row_files import RowFiles
    from quarry.training.examples.text_files import TextFiles

    return TextFiles(data, strict=strict) if job.stage == "pretrain" else RowFiles.open(data, strict=strict)


def _trained(job: "StageJob", rows: "RowFiles | TextFiles", dev: Path | None, *, quiet: bool) -> "TrainedModel":
    import os

    from quarry.indexer.models.loading import choose_device
    from quarry.training.fit.loop.progress import terminal_observer
    from quarry.training.fit.stages import fitting, stage_spec, train_stage

    spec = stage_spec(job.stage, job.settings, gpu=choose_device(job.device) != "cpu")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    fitted = fitting(spec, len(rows), processes=processes, given="batch_size" in job.settings)
    if _first_process() and not quiet:
        _announce(rows, spec.batch_size, fitted.batch_size)
    observer = None if quiet else terminal_observer()
    return train_stage(job, rows, fitted, dev=_dev(dev, job), observer=observer)


def _announce(rows: "RowFiles | TextFiles", wanted: int, batch: int) -> None:
    for reason, count in rows.left_out.items():
        note(f"left out: {count:,} {reason}")
    for bad in rows.bad_rows:
        note(f"  {bad}")
    note(f"training on {len(rows):,} rows")
    if batch != wanted:
        note(f"the batch is {batch:,} rows instead of {wanted:,}, so that a pass over the data has several steps")


def _dev(path: Path | None, job: "StageJob") -> "DevSet | None":
    from quarry.indexer.errors import SettingsError
    from quarry.training.examples.files import read_pairs
    from quarry.training.fit.loop.dev_score import DevSet

    if path is None:
        return None
    if job.stage == "pretrain":
        raise SettingsError(
            "cli.dev_of_pretraining",
            "--dev was given with --stage pretrain, which ranks nothing",
            expected="no --dev",
            do="Give it to --stage general or task",
        )
    return DevSet.of_rows([example.row for example in read_pairs(path).examples])


def _print(trained: "TrainedModel", *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        out_json({key: str(value) if isinstance(value, Path) else value for key, value in asdict(trained).items()})
        return
    if trained.dev_before is not None and trained.dev_after is not None:
        out(f"dev nDCG@10 {trained.dev_before:.4f} -> {trained.dev_after:.4f}")
    out(
        f"{trained.steps} steps in {trained.seconds:.0f} s; the model is in {trained.folder} (digest {trained.digest[:12]})"
    )
