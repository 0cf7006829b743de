"""`quarry index`: bring an index up to date with files and folders."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from quarry.app.calibrating import calibrate_built
from quarry.app.cli.console import ProgressBar, fields, note, out_json
from quarry.app.cli.exits import EXIT_SKIPPED, interruptible, usage_errors
from quarry.app.cli.help import QuarryCommand
from quarry.app.cli.options import (
    ChunkTokensOption,
    DeviceOption,
    DimOption,
    DownloadOption,
    EncodingOption,
    ExamplesOption,
    OverlapOption,
    QuietOption,
)
from quarry.app.cli.printed.build import print_report
from quarry.app.cli.removing import index_of, index_to_write, selection_of, without_indexing
from quarry.app.documents.skips import remember_skips
from quarry.app.wiring import ChosenModel, asked_options, live_manifest, model_for
from quarry.indexer.build import BuildReport, build_index
from quarry.indexer.build.plan import BuildOptions

if TYPE_CHECKING:
    from quarry.indexer.build.cutting.chunking import ChunkSpec
    from quarry.indexer.readers.base import ReadOptions


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "index",
        cls=QuarryCommand,
        short_help="Index files and folders.",
        help="Index files and folders; later runs process only what changed.",
    )(index)


def index(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files and folders: txt md html pdf docx pptx xlsx odt epub rtf csv json mail notebooks code, BEIR corpora."
        ),
    ] = None,
    into: Annotated[Path | None, typer.Option("--into", help="The index folder; created if missing.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Embedding model: auto, none (BM25 only), a repository id, or a folder. Default: the model of the index, or auto."
        ),
    ] = None,
    store: Annotated[
        Literal["auto", "exact", "faiss", "lance", "milvus", "qdrant"] | None,
        typer.Option(
            help="Vector store. auto: exact up to 128 MB of vectors, above that approximate. milvus and qdrant find candidates on "
            "a server (--uri). Default: auto."
        ),
    ] = None,
    uri: Annotated[
        str | None,
        typer.Option(
            help="With --store milvus or qdrant: address of the server, or a path for its local mode. Default: as it was built."
        ),
    ] = None,
    device: DeviceOption = "auto",
    chunk_tokens: ChunkTokensOption = None,
    overlap: OverlapOption = None,
    dim: DimOption = None,
    instruction: Annotated[
        str | None,
        typer.Option(
            help="Task sentence in front of each query; the index keeps it. Default: the model's, or as it was built."
        ),
    ] = None,
    examples: ExamplesOption = None,
    analyzer: Annotated[
        str | None,
        typer.Option(
            help="How words are cut: jieba, rjieba or bigram for Chinese and English; or two letters of another language, "
            "such as fr, ru, ja. Default: by the language of the documents (jieba for Chinese and English), or as it was built."
        ),
    ] = None,
    rerank_vectors: Annotated[
        bool | None,
        typer.Option(
            "--rerank-vectors/--no-rerank-vectors",
            help="Keep token states for late interaction, about 25 KB per passage. Default: as the index has them; a new one "
            "has them up to 20,000 passages.",
        ),
    ] = None,
    vectors: Annotated[
        Path | None,
        typer.Option("--vectors", help="Take the vectors that `quarry encode` made, instead of encoding here."),
    ] = None,
    ocr: Annotated[
        bool | None,
        typer.Option(
            "--ocr/--no-ocr",
            help="Recognize the text of scanned pages (extra `ocr`; seconds per page). Default: as the index was built.",
        ),
    ] = None,
    keep_repeated: Annotated[
        bool | None,
        typer.Option(
            "--keep-repeated/--drop-repeated",
            help="Keep banners, menus and footers that repeat over the pages of a site or a PDF. Default: as the index was built; "
            "a new one drops them.",
        ),
    ] = None,
    encoding: EncodingOption = None,
    download: DownloadOption = False,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Read every file again, even if its size and times are as before.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Re-encode everything; required to change the model.")
    ] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Accept that a folder has lost all of its files.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if files were skipped.")] = False,
    keep: Annotated[
        int, typer.Option(help="Number of generations to keep for rollback, including the live one.", min=1)
    ] = 3,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep running and reindex whenever files change, until Ctrl-C.")
    ] = False,
    poll: Annotated[
        float | None,
        typer.Option(help="With --watch: poll every N seconds, for network drives that send no events."),
    ] = None,
    list_roots: Annotated[
        bool,
        typer.Option(
            "--list-roots", help="List the folders that an index was made from: quarry index INDEX --list-roots."
        ),
    ] = False,
    remove_root: Annotated[
        list[str] | None,
        typer.Option(
            "--remove-root", help="Take a folder's documents out, by its path or prefix; it may be gone. Repeatable."
        ),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="Take a document out, by its id. Repeatable.")
    ] = None,
    remove_where: Annotated[
        list[str] | None,
        typer.Option(
            "--remove-where", help="Take documents out by metadata, such as lang=zh or source=old/*. Repeatable."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --remove...: only show what would be taken out.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON; with --watch, one line per build.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Index files and folders into an index folder."""
    if (poll is not None and not watch) or (strict and watch):
        raise typer.BadParameter("--poll requires --watch, and --strict cannot be combined with it")
    selection = selection_of(remove_root, remove, remove_where)
    if list_roots or selection:
        without_indexing(index_of(paths, into), selection, listed=list_roots, dry_run=dry_run, as_json=as_json)
        return
    into = index_to_write(paths, into, dry_run=dry_run)
    paths = paths or []

    asked = asked_options(examples, instruction)

    def load(wanted: str | None) -> ChosenModel:
        found = model_for(into, wanted, device=device, dim=dim, download=download, asked=asked)
        for sentence in found.trail:
            note(f"model: {sentence}")
        return found

    with usage_errors():
        if analyzer is not None:
            from quarry.indexer.lexical.analyzer import analyzer as analyzer_named

            analyzer_named(analyzer)  # an unknown name ends here
        settings = BuildOptions(
            chunking=_chunking(into, chunk_tokens, overlap),
            store=store,
            store_uri=uri,
            analyzer=analyzer,
            read=_read_options(encoding, checksum=checksum, ocr=ocr, keep_repeated=keep_repeated),
            rebuild=rebuild,
            allow_empty=allow_empty,
            keep=keep,
            rerank_vectors=rerank_vectors,
            vectors=vectors,
        )
    if watch:
        from quarry.app.cli.watching import keep_in_step

        keep_in_step(
            into,
            paths,
            lambda first: load(model if first else None),
            settings,
            poll_s=poll,
            as_json=as_json,
            quiet=quiet,
        )
        return
    chosen = load(model)
    report = _build(into, paths, chosen, settings, quiet=quiet)
    calibrate_built(into, chosen.embedder)
    remember_skips(into, paths, report.skipped)
    if as_json:
        out_json({**fields(report), "model": chosen.embedder.spec.model if chosen.embedder else None})
    else:
        print_report(into, report, chosen)
    if strict and report.skipped:
        raise typer.Exit(EXIT_SKIPPED)


def _build(into: Path, paths: list[Path], chosen: ChosenModel, settings: BuildOptions, *, quiet: bool) -> BuildReport:
    settings = replace(settings, model_folder=chosen.folder, notes=chosen.notes)
    bar = ProgressBar(quiet=quiet)
    with interruptible(bar, "what was encoded is kept. Run the same command again to resume"):
        return build_index(into, paths, chosen.embedder, settings, bar)


def _chunking(into: Path, chunk_tokens: int | None, overlap: int | None) -> "ChunkSpec | None":
    if chunk_tokens is None and overlap is None:
        return None
    from quarry.indexer.build.cutting.chunking import ChunkSpec

    manifest = live_manifest(into)
    base = ChunkSpec(manifest.chunking.max_tokens, manifest.chunking.overlap_tokens) if manifest else ChunkSpec()
    return ChunkSpec(
        base.max_tokens if chunk_tokens is None else chunk_tokens, base.overlap_tokens if overlap is None else overlap
    )


def _read_options(
    encoding: str | None, *, checksum: bool, ocr: bool | None, keep_repeated: bool | None
) -> "ReadOptions":
    from quarry.indexer.readers.base import ReadOptions

    return ReadOptions(charset=encoding or None, checksum=checksum, ocr=ocr, keep_repeated=keep_repeated)
