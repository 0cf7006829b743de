"""`quarry estimate`: what an index of so many documents will take, before anything is bought or started."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.console import fields, note, out, out_json, table
from quarry.app.cli.exits import usage_errors
from quarry.app.cli.help import QuarryCommand

if TYPE_CHECKING:
    from quarry.indexer.encode.cost import Cost
    from quarry.indexer.models.profiles import EmbedderProfile

_COUNT = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s*([kKmMbBgG]?)")
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "estimate",
        cls=QuarryCommand,
        short_help="What an index of so many documents will take.",
        help="What an index will take: passages, tokens, hours, bytes, requests, and memory of a reader. Straight lines through measurements, "
        "for planning; docs/scale.md says how far off they were.",
    )(estimate)


def estimate(
    documents: Annotated[str, typer.Option(help="How many documents: 20000, 50k, 100M.")],
    model: Annotated[
        str, typer.Option(help="Embedding model, one of `quarry models`; the name's end is enough.")
    ] = "bge-m3",
    gpu: Annotated[
        str, typer.Option(help="What encodes: h100, h200, b200, a100, l40s, l4, a10, rtx4090, v100, t4, or cpu.")
    ] = "cpu",
    gpus: Annotated[int, typer.Option(help="How many of them.", min=1)] = 1,
    words: Annotated[float, typer.Option(help="Mean number of words of a document.", min=1)] = 400.0,
    sample: Annotated[
        Path | None, typer.Option(help="An index of some of the documents: their length is taken from it.", exists=True)
    ] = None,
    chunk_tokens: Annotated[int, typer.Option(help="Longest passage, in tokens.", min=16)] = 320,
    rerank_vectors: Annotated[
        bool, typer.Option("--rerank-vectors", help="With token states for late interaction.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate."""
    from quarry.indexer.encode.cost import Collection, cost_of, device_named

    with usage_errors():
        collection = Collection(_count(documents), _sampled_words(sample) if sample else words, chunk_tokens)
    profile, device = _profile(model), device_named(gpu.lower())
    found = cost_of(collection, profile, device, devices=gpus, token_states=rerank_vectors)
    if as_json:
        out_json({**fields(found), "model": profile.model, "device": fields(device), "words": collection.words})
        return
    out(
        f"{collection.documents:,.0f} documents of {collection.words:,.0f} words, {profile.model}, {gpus} x {device.name}"
    )
    table(_rows(found, gpus), ("", "", ""))
    if not device.measured:
        note(
            f"nobody has measured {device.name}: its speed is derived from its published peak and what an H100 was seen to do"
        )


def _rows(found: "Cost", gpus: int) -> list[tuple[str, str, str]]:
    hours = found.encoding_hours
    spent = f"{hours * gpus:,.1f} device hours" if gpus > 1 else ""
    parts = ", ".join(f"{name.replace('_', ' ')} {_size(value)}" for name, value in found.index_bytes.items())
    return [
        ("passages", f"{found.passages:,}", ""),
        ("tokens", f"{found.tokens:,.0f}", ""),
        ("encoding", f"{hours:,.1f} h", spent),
        ("reading, cutting, terms, storing", f"{found.build_hours:,.1f} h", "of one core"),
        ("index", _size(sum(found.index_bytes.values())), parts),
        ("shards of vectors", _size(found.shard_bytes), f"added to a lake and published: {found.requests:,} requests"),
        (
            "memory of a reader",
            _size(found.reader_own_bytes),
            f"beside program and model; {_size(found.reader_mapped_bytes)} of files",
        ),
    ]


def _count(text: str) -> float:
    """Return the number that `100M` or `50k` says. Raises ValueError for anything else."""
    found = _COUNT.fullmatch(text.strip())
    if found is None or float(found[1].replace(",", "")) < 1:
        raise ValueError(f"--documents is {text!r}; expected a number such as 20000, 50k or 100M")
    return float(found[1].replace(",", "")) * _FACTORS[found[2].lower()]


def _profile(name: str) -> "EmbedderProfile":
    from quarry.indexer.errors import ModelError
    from quarry.indexer.models.profiles import EMBEDDERS

    found = [each for each in EMBEDDERS if name in (each.model, each.model.rpartition("/")[2])]
    if not found:
        raise ModelError(
            "cli.unknown_size",
            "nothing is known of the size of {model}",
            expected="one of {known}",
            do="Take one of about its size; `quarry models` lists them",
            model=name,
            known=[each.model.rpartition("/")[2] for each in EMBEDDERS],
        )
    return found[0]


def _sampled_words(index: Path) -> float:
    """Return the mean number of words of an index's documents."""
    from quarry.indexer.language import length_in_words
    from quarry.indexer.opened import Index

    chunks = Index.open(index).chunks
    names = chunks.doc_ids()
    drawn = names[:: max(1, len(names) // 500)]
    return sum(length_in_words(chunks.document(name).text) for name in drawn) / max(1, len(drawn))


def _size(count: float) -> str:
    """Return bytes in words, such as 3.2 GB."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:,.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} {_UNITS[-1]}"
