"""`quarry index` without indexing: lists the folders of an index, and takes folders and documents out of it."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from quarry.app.cli.console import ProgressBar, fields, note, out, out_json, table
from quarry.app.cli.exits import usage_errors

if TYPE_CHECKING:
    from quarry.indexer.build.removal import Selected, Selection

_SHOWN = 10


def without_indexing(index: Path, selection: "Selection | None", *, listed: bool, dry_run: bool, as_json: bool) -> None:
    """Take out what was selected, or say what would go; then list the folders, when asked to."""
    if selection:
        take_out(index, selection, dry_run=dry_run, as_json=as_json)
    if listed:
        print_roots(index, as_json=as_json)


def print_roots(index: Path, *, as_json: bool) -> None:
    """Print the folders that an index was made from."""
    from quarry.indexer.build.removal import list_roots

    roots = list_roots(index)
    if as_json:
        out_json({"roots": roots})
        return
    if not roots:
        out(f"{index}: made from no folder; its documents came from programs")
        return
    rows = [
        (root.prefix, f"{root.documents:,}", f"{root.files:,}", "yes" if root.there else "gone", root.path)
        for root in roots
    ]
    table(rows, ("prefix", "documents", "files", "there", "path"))


def selection_of(roots: list[str] | None, doc_ids: list[str] | None, filters: list[str] | None) -> "Selection | None":
    """Return what the options ask to take out, None when they ask for nothing.

    Raises:
        typer.BadParameter: If a filter is not one.
    """
    if not (roots or doc_ids or filters):
        return None
    from quarry.app.cli.options import parse_filters
    from quarry.indexer.build.removal import Selection

    return Selection(tuple(doc_ids or ()), parse_filters(filters or []), tuple(roots or ()))


def take_out(index: Path, selection: "Selection", *, dry_run: bool, as_json: bool) -> None:
    """Take documents and folders out of an index, or say what would go."""
    from quarry.app.wiring import model_for
    from quarry.indexer.build import remove_documents
    from quarry.indexer.build.removal import find_documents

    with usage_errors():
        found = find_documents(index, selection)
    if dry_run or not (found.doc_ids or found.roots):
        _report(index, found, dry_run=dry_run, as_json=as_json, generation="")
        return
    chosen = model_for(index)
    bar = ProgressBar(quiet=as_json)
    try:
        report = remove_documents(index, selection, chosen.embedder, bar)
    finally:
        bar.close()
    _report(index, found, dry_run=False, as_json=as_json, generation=report.generation)


def _report(index: Path, found: "Selected", *, dry_run: bool, as_json: bool, generation: str) -> None:
    if as_json:
        out_json(
            {
                **fields(found),
                "removed": 0 if dry_run else len(found.doc_ids),
                "dry_run": dry_run,
                "generation": generation,
            }
        )
        return
    count = f"{len(found.doc_ids)} document{'' if len(found.doc_ids) == 1 else 's'}"
    done = "would be removed" if dry_run else "removed"
    out(f"{index}: {count} {done}{f', generation {generation}' if generation else ''}")
    for prefix, path in found.roots.items():
        out(f"  folder {prefix} ({path}): no longer indexed" if not dry_run else f"  folder {prefix} ({path})")
    for doc_id in found.doc_ids[:_SHOWN]:
        out(f"  {doc_id}")
    if len(found.doc_ids) > _SHOWN:
        out(f"  ... and {len(found.doc_ids) - _SHOWN} more (--json lists all)")
    for doc_id in found.not_found:
        note(f"no document has the id {doc_id}")
    if found.returning:
        note(
            f"{found.returning} of them belong to folders that stay in the index, and come back when these are indexed again; "
            "remove the files, too"
        )


def index_of(paths: list[Path] | None, into: Path | None) -> Path:
    """Return the index that is meant: --into, or the one path given.

    Raises:
        typer.BadParameter: If none or several are given.
    """
    given = [*(paths or []), *([into] if into else [])]
    if len(given) != 1:
        raise typer.BadParameter(
            "--list-roots, --remove-root, --remove and --remove-where take one index and no other path"
        )
    return given[0]


def index_to_write(paths: list[Path] | None, into: Path | None, *, dry_run: bool) -> Path:
    """Return the index that is to be written.

    Raises:
        typer.BadParameter: If it or the paths are missing, or a dry run is asked for.
    """
    if not paths or into is None:
        raise typer.BadParameter(
            "give PATHS and --into INDEX, or INDEX with --list-roots, --remove-root, --remove or --remove-where"
        )
    if dry_run:
        raise typer.BadParameter("--dry-run goes with --remove-root, --remove or --remove-where")
    return into
