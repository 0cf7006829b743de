"""`quarry encode`: vectors of files and folders, made apart from an index by any number of processes or machines."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.console import ProgressBar, fields, note, out, out_json
from quarry.app.cli.exits import interruptible, usage_errors
from quarry.app.cli.help import QuarryCommand
from quarry.app.cli.options import (
    ChunkTokensOption,
    DeviceOption,
    DimOption,
    DownloadOption,
    EncodingOption,
    OverlapOption,
    QuietOption,
)
from quarry.app.cli.printed.build import print_skipped
from quarry.app.wiring import choose_model
from quarry.indexer.errors import ModelError

if TYPE_CHECKING:
    from quarry.indexer.encode.work import EncodeReport
    from quarry.indexer.shards.folder import ShardFolder


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "encode",
        cls=QuarryCommand,
        short_help="Make vectors on several machines.",
        help="Make the vectors of files and folders with any number of processes or machines, for `quarry index --vectors`. The "
        "same command resumes.",
    )(encode)


def encode(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders, as for `quarry index`.")],
    into: Annotated[Path, typer.Option("--into", help="Folder for the vectors, on a disk that all machines see.")],
    model: Annotated[str, typer.Option(help="Embedding model: auto, a repository id, or a folder.")] = "auto",
    shard: Annotated[
        str,
        typer.Option(
            help="Do only share I of N, such as 3/8: run one command per process or machine (Slurm arrays, xargs).",
            metavar="I/N",
        ),
    ] = "1/1",
    ray: Annotated[
        str | None,
        typer.Option(help="Share the work out on a Ray cluster: local, or an address (extra `scale`)."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="With --ray: how many. Default: one per GPU, else one per machine.", min=1)
    ] = None,
    device: DeviceOption = "auto",
    chunk_tokens: ChunkTokensOption = None,
    overlap: OverlapOption = None,
    dim: DimOption = None,
    rerank_vectors: Annotated[
        bool,
        typer.Option(
            "--rerank-vectors/--no-rerank-vectors",
            help="Keep token states for late interaction, about 25 KB per passage.",
        ),
    ] = False,
    ocr: Annotated[
        bool, typer.Option("--ocr", help="Recognize the text of scanned pages (extra `ocr`; seconds per page).")
    ] = False,
    keep_repeated: Annotated[
        bool,
        typer.Option(
            "--keep-repeated", help="Keep banners, menus and footers that repeat over the pages of a site or a PDF."
        ),
    ] = False,
    encoding: EncodingOption = None,
    download: DownloadOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Encode a corpus into shards.

    Raises:
        typer.BadParameter: If options contradict each other.
        ModelError: If there is no model.
        typer.Exit: At Ctrl-C.
    """
    from quarry.indexer.build.cutting.chunking import ChunkSpec
    from quarry.indexer.encode.cluster import Cluster, ModelPlace, encode_on_ray
    from quarry.indexer.encode.work import Share, encode_corpus, shard_settings
    from quarry.indexer.readers.base import ReadOptions
    from quarry.indexer.shards.folder import ShardFolder

    if ray is not None and shard != "1/1":
        raise typer.BadParameter("--shard and --ray cannot be combined: Ray shares the work out itself")
    if workers is not None and ray is None:
        raise typer.BadParameter("--workers requires --ray")
    with usage_errors():
        share = Share.parse(shard)
        given = {"max_tokens": chunk_tokens, "overlap_tokens": overlap}
        spec = ChunkSpec(**{name: value for name, value in given.items() if value is not None})
    read = ReadOptions(charset=encoding or None, ocr=ocr, keep_repeated=keep_repeated)
    chosen = choose_model(model, device=device, dim=dim, allow_download=download)
    for sentence in chosen.trail:
        note(f"model: {sentence}")
    if chosen.embedder is None:
        raise ModelError(
            "cli.encode_without_model",
            "there is no embedding model on this machine, so there is nothing to encode with",
            expected="a model",
            do="Give one with --model; `quarry models` lists what is known",
        )
    settings = shard_settings(chosen.embedder, chosen.folder, spec, read, token_states=rerank_vectors)
    folder = ShardFolder.create(into, settings)
    bar = ProgressBar(quiet=quiet)
    with interruptible(bar, "complete shards are kept. Run the same command again to resume"):
        if ray is None:
            report = encode_corpus(paths, folder, chosen.embedder, read, share, bar)
        else:
            place = ModelPlace(chosen.folder, chosen.embedder.spec, device)
            report = encode_on_ray(paths, folder, place, read, Cluster(ray, workers), bar)
    if as_json:
        out_json({**fields(report), "model": chosen.embedder.spec.model, "share": asdict(share)})
    else:
        _print(report, folder, share.of)


def _print(report: "EncodeReport", folder: "ShardFolder", of: int) -> None:
    spec = folder.settings.embedder.to_spec()
    part = "" if of == 1 else " in this share"
    out(f"{folder.root}: {report.documents} documents, {report.passages} passages{part}, {report.shards} shards")
    seconds = report.seconds.get("encoding", 0.0)
    speed = f", {report.encoded / seconds:.1f} texts/s" if report.encoded and seconds else ""
    out(f"  {spec.model} ({spec.dim} dimensions): {report.encoded} passages and titles encoded{speed}")
    if report.kept:
        out(f"  {report.kept} shards were complete before")
    print_skipped(report.skipped)
    out(f"Next: quarry index PATH --into INDEX --vectors {folder.root}")
