"""`quarry lake`: an index of many millions of passages, on object storage or in a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarry.app.cli.console import ProgressBar, fields, note, out, out_json
from quarry.app.cli.exits import interruptible, usage_errors
from quarry.app.cli.help import QuarryCommand
from quarry.app.cli.lake_keeping import clean_up, examine_lake, go_back, show_status
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
    from quarry.indexer.embedder import Embedder
    from quarry.indexer.lake.making import Lake
    from quarry.indexer.stores.lake.layout import LakeSettings


class Action(StrEnum):
    """What to do."""

    init = "init"
    add = "add"
    publish = "publish"
    status = "status"
    doctor = "doctor"
    rollback = "rollback"
    clean = "clean"


_ONLY: dict[str, tuple[Action, ...]] = {
    "model": (Action.init,),
    "dim": (Action.init,),
    "chunk_tokens": (Action.init,),
    "overlap": (Action.init,),
    "analyzer": (Action.init,),
    "ocr": (Action.init,),
    "keep_repeated": (Action.init,),
    "rerank_vectors": (Action.init,),
    "download": (Action.init,),
    "vectors": (Action.add,),
    "encoding": (Action.add,),
    "remove_root": (Action.add,),
    "scratch": (Action.publish,),
    "hours": (Action.clean,),
    "keep": (Action.clean,),
    "dry_run": (Action.clean,),
}
"""The options that belong to some actions only."""


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "lake",
        cls=QuarryCommand,
        short_help="Keep many millions of passages on object storage.",
        help="Keep an index of many millions of passages on object storage or in a folder: make it (init), add documents (add), make "
        "what was added searchable (publish), describe it (status), look for damage (doctor), go back to the generation before "
        "(rollback), remove what nothing names (clean). search, ask, serve and the other reading commands take its address.",
    )(lake)


def lake(
    ctx: typer.Context,
    action: Annotated[Action, typer.Argument(help="init, add, publish, status, doctor, rollback or clean.")],
    address: Annotated[str, typer.Argument(metavar="LAKE", help="s3://BUCKET/PREFIX, or a folder.")],
    paths: Annotated[list[Path] | None, typer.Argument(help="For add: files and folders.")] = None,
    model: Annotated[str, typer.Option(help="For init. Embedding model: auto, a repository id, or a folder.")] = "auto",
    dim: DimOption = None,
    chunk_tokens: ChunkTokensOption = None,
    overlap: OverlapOption = None,
    analyzer: Annotated[
        str, typer.Option(help="For init. What cuts words: jieba, rjieba, bigram, or a language such as fr.")
    ] = "jieba",
    ocr: Annotated[
        bool, typer.Option("--ocr", help="For init. Recognize the text of scanned pages (extra `ocr`).")
    ] = False,
    keep_repeated: Annotated[
        bool,
        typer.Option(
            "--keep-repeated", help="For init. Keep banners, menus and footers that repeat over the pages of a site."
        ),
    ] = False,
    rerank_vectors: Annotated[
        bool,
        typer.Option(
            "--rerank-vectors", help="For init. Keep token states for late interaction, about 25 KB per passage."
        ),
    ] = False,
    vectors: Annotated[
        Path | None, typer.Option(help="For add. Take the vectors that `quarry encode` made of the same files.")
    ] = None,
    encoding: EncodingOption = None,
    remove_root: Annotated[
        list[str] | None,
        typer.Option(help="For add. Take out what was added from the folder of this name. Repeatable."),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(help="For publish. Folder for counts, about 300 bytes a passage. Default: the system's."),
    ] = None,
    hours: Annotated[
        float, typer.Option(help="For clean. Leave alone what is younger, or was live since.", min=1.0)
    ] = 24.0,
    keep: Annotated[int, typer.Option(help="For clean. Generations that stay for going back.", min=0)] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="For clean. Only say what would be removed.")] = False,
    device: DeviceOption = "auto",
    download: DownloadOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Work on a lake.

    Raises:
        typer.BadParameter: If an option belongs to another action.
        typer.Exit: When `doctor` finds damage, and at Ctrl-C.
    """
    from quarry.indexer.build.cutting.chunking import ChunkSpec
    from quarry.indexer.lake.making import Lake, settings_for
    from quarry.indexer.readers.base import ReadOptions

    _check_options(ctx, action, paths or [])
    if action is Action.init:
        with usage_errors():
            given = {"max_tokens": chunk_tokens, "overlap_tokens": overlap}
            spec = ChunkSpec(**{name: value for name, value in given.items() if value is not None})
            embedder, folder = _chosen(model, device, dim, download=download)
            read = ReadOptions(ocr=ocr, keep_repeated=keep_repeated)
            settings = settings_for(embedder, folder, spec, read, analyzer, token_states=rerank_vectors)
        _init(address, settings, as_json=as_json)
        return
    opened = Lake.open(address)
    if action is Action.add:
        _take_out(opened, remove_root or [])
        if paths:
            work = _Work(opened, device, quiet=quiet, as_json=as_json)
            _add(work, paths, vectors, ReadOptions(charset=encoding or None))
    elif action is Action.publish:
        _publish(_Work(opened, device, quiet=quiet, as_json=as_json), scratch)
    elif action is Action.status:
        show_status(opened, as_json=as_json)
    elif action is Action.doctor:
        examine_lake(opened, as_json=as_json)
    elif action is Action.rollback:
        go_back(opened, as_json=as_json)
    else:
        clean_up(opened, hours, keep, dry_run=dry_run, as_json=as_json)


def _check_options(ctx: typer.Context, action: Action, paths: Sequence[Path]) -> None:
    """Refuse options and paths of other actions.

    Raises:
        typer.BadParameter: If one was given.
    """
    source = ctx.get_parameter_source
    for name, actions in _ONLY.items():
        if str(getattr(source(name), "name", "")) == "COMMANDLINE" and action not in actions:
            raise typer.BadParameter(f"--{name.replace('_', '-')} belongs to {' and '.join(actions)}")
    if paths and action is not Action.add:
        raise typer.BadParameter(f"{action} takes no PATHS; they belong to add")
    if action is Action.add and not paths and not ctx.params["remove_root"]:
        raise typer.BadParameter("add requires PATHS, or --remove-root")


@dataclass(frozen=True, slots=True)
class _Work:
    """A lake that is worked on, with how it is reported."""

    lake: "Lake"
    device: str
    quiet: bool
    as_json: bool

    def embedder(self) -> "Embedder":
        """Load the lake's model. Raises ModelError."""
        from quarry.retriever.models.recorded import recorded_embedder, usable_device

        device, notice = usable_device(self.device)
        if notice is not None:
            note(str(notice))
        return recorded_embedder(Path(), self.lake.settings.embedder, device)


def _chosen(model: str, device: str, dim: int | None, *, download: bool) -> "tuple[Embedder, str]":
    """Load the model of a new lake; return it with its folder. Raises ModelError when there is none."""
    chosen = choose_model(model, device=device, dim=dim, allow_download=download)
    for sentence in chosen.trail:
        note(f"model: {sentence}")
    if chosen.embedder is None:
        raise ModelError(
            "cli.lake_without_model",
            "there is no embedding model on this machine, and a lake needs one",
            expected="a model",
            do="Give one with --model; `quarry models` lists what is known",
        )
    return chosen.embedder, chosen.folder


def _init(address: str, settings: "LakeSettings", *, as_json: bool) -> None:
    from quarry.indexer.lake.making import make_lake

    made = make_lake(address, settings)
    if as_json:
        out_json({"lake": made.objects.uri, "settings": made.settings.model_dump(mode="json")})
        return
    out(f"{made.objects.uri}: the storage keeps conditional puts; {made.settings.embedder.to_spec().model}")
    out(f"Next: quarry lake add {made.objects.uri} DOCS")


def _take_out(opened: "Lake", names: Sequence[str]) -> None:
    from quarry.indexer.lake.roots import remove_root

    for name in names:
        note(f"{remove_root(opened, name).name} is out with the next publish")


def _add(work: _Work, paths: Sequence[Path], vectors: Path | None, read: Any) -> None:
    from quarry.indexer.lake.adding import add_to_lake

    embedder, bar = work.embedder(), ProgressBar(quiet=work.quiet)
    with interruptible(bar, "complete shards are kept. Run the same command again to resume"):
        report = add_to_lake(work.lake, paths, embedder, vectors=vectors, read=read, observer=bar)
    uri = work.lake.objects.uri
    if work.as_json:
        out_json({"lake": uri, **fields(report)})
        return
    kept = f", {report.kept} complete before" if report.kept else ""
    out(f"{uri}: {report.documents} documents, {report.passages} passages, {report.shards} shards{kept}")
    taken = f", {report.taken} taken from {vectors}" if vectors else ""
    out(f"  {report.encoded} passages and titles encoded{taken}")
    print_skipped(report.skipped)
    out(f"Next: quarry lake publish {uri}")


def _publish(work: _Work, scratch: Path | None) -> None:
    from quarry.indexer.lake.publishing import publish

    embedder, bar = work.embedder(), ProgressBar(quiet=work.quiet)
    with interruptible(bar, "what is live is as it was. `quarry lake clean` removes what was written"):
        report = publish(work.lake, embedder, observer=bar, scratch=scratch)
    uri = work.lake.objects.uri
    if work.as_json:
        out_json({"lake": uri, **fields(report)})
        return
    if not report.switched:
        out(f"{uri}: generation {report.generation} has all that was added")
        return
    out(f"{uri}: generation {report.generation} is live: {report.documents} documents, {report.passages} passages")
    if report.left_out:
        out(f"  {report.left_out} documents were left out: their ids were there before")
    if report.index == "none":
        out("  a question is compared with every vector: there are few")
    else:
        out(
            f"  {report.index}: recall@10 {report.recall:.3f}, {report.probes} partitions, {report.refine} candidates per hit"
        )
    out(f'Next: quarry search {uri} "your question"')
