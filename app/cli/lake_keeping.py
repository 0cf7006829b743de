"""`quarry lake` on what is published: status, doctor, rollback and clean."""

from typing import TYPE_CHECKING

import typer

from quarry.app.cli.console import fields, out, out_json, table
from quarry.app.cli.exits import EXIT_ERROR

if TYPE_CHECKING:
    from quarry.indexer.lake.making import Lake


def show_status(opened: "Lake", *, as_json: bool) -> None:
    """Print what is live, what is to be published, and the folders."""
    from quarry.indexer.lake.keeping import status_of

    found = status_of(opened)
    live = found.live
    if as_json:
        out_json(
            {
                "lake": found.lake,
                "model": found.model,
                "generation": live.manifest.generation if live else None,
                "documents": live.manifest.documents if live else 0,
                "passages": live.manifest.chunks if live else 0,
                "recall@10": live.passages.recall if live else None,
                "to_publish": found.to_publish,
                "history": [step.model_dump(mode="json") for step in found.history],
                "generations": found.generations,
                "roots": found.roots,
                "bytes": found.bytes,
                "objects": found.objects,
            }
        )
        return
    out(f"{found.lake}: {found.model}; {found.bytes / 1e6:,.1f} MB in {found.objects} objects")
    if live is None:
        out("  nothing was published yet")
    else:
        facts = live.manifest
        out(
            f"  generation {facts.generation} is live: {facts.documents} documents, {facts.chunks} passages, {facts.created}"
        )
        out(f"  recall@10 {live.passages.recall:.3f} ({live.passages.index})")
    table(
        ((root.name, str(root.documents), str(root.passages), "yes" if root.live else "no") for root in found.roots),
        ("folder", "documents", "passages", "live"),
    )
    for step in found.history[-5:]:
        out(f"  {step.at} {step.generation}: {step.reason}")
    if found.to_publish:
        out(f"Next: quarry lake publish {found.lake}")


def examine_lake(opened: "Lake", *, as_json: bool) -> None:
    """Print what is wrong.

    Raises:
        typer.Exit: If something is.
    """
    from quarry.indexer.lake.keeping import examine

    findings = list(examine(opened))
    wrong = [finding for finding in findings if finding is not None]
    if as_json:
        out_json({"lake": opened.objects.uri, "examined": len(findings), "wrong": wrong})
    else:
        for finding in wrong:
            out(f"wrong: {finding}")
        out(f"{opened.objects.uri}: {len(findings)} files and generations examined, {len(wrong)} are damaged")
    if wrong:
        raise typer.Exit(EXIT_ERROR)


def go_back(opened: "Lake", *, as_json: bool) -> None:
    """Make the generation before the live one live, and say so."""
    from quarry.indexer.lake.keeping import roll_back

    step = roll_back(opened)
    if as_json:
        out_json({"lake": opened.objects.uri, **step.model_dump(mode="json")})
    else:
        out(f"{opened.objects.uri}: generation {step.generation} is live: {step.reason}")


def clean_up(opened: "Lake", hours: float, keep: int, *, dry_run: bool, as_json: bool) -> None:
    """Remove what nothing names, or say what would go."""
    from quarry.indexer.lake.keeping import clean

    found = clean(opened, hours=hours, keep=keep, dry_run=dry_run)
    if as_json:
        out_json({"lake": opened.objects.uri, "dry_run": dry_run, **fields(found)})
        return
    done = "would be removed" if dry_run else "removed"
    out(f"{opened.objects.uri}: {len(found.objects)} objects, {found.bytes / 1e6:,.1f} MB {done}")
    for name in found.generations:
        out(f"  generation {name}")
    out(f"  left: {', '.join(found.kept) or 'no generation'}")
