"""`quarry diagnose`: analyze the embeddings of an index on judged questions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.console import fields, note, out, out_json, table
from quarry.app.cli.exits import usage_errors
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import DeviceOption, HtmlOption, LanguageOption
from quarry.app.cli.report.page import write_page

if TYPE_CHECKING:
    from quarry.retriever.diagnosis.index import Diagnosis
    from quarry.retriever.diagnosis.vectors import Anisotropy, SimilarityHistograms

_BAR = 36  # cells of the longest bar of a histogram


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "diagnose",
        cls=IndexCommand,
        short_help="Analyze the embeddings of an index.",
        help="Analyze the embeddings of an index: similarity distributions, a threshold, shorter vectors, quality by k.",
    )(diagnose)


def diagnose(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    dataset: Annotated[Path, typer.Argument(help="Dataset folder: queries and judgments.")],
    split: Annotated[
        str | None, typer.Option(help="Which split of the judgments to use. Default: test, else dev.")
    ] = None,
    routes: Annotated[str, typer.Option(help="Comma-separated routes for quality by k.")] = "bm25,dense,hybrid",
    dims: Annotated[
        str | None,
        typer.Option(help="Comma-separated vector lengths to try. Default: 32, 64, ... up to the full length."),
    ] = None,
    ks: Annotated[str, typer.Option(help="Comma-separated values of k (documents).")] = "1,3,5,10,20,50,100",
    html: HtmlOption = None,
    lang: LanguageOption = "en",
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Diagnose the embeddings of an index."""
    from quarry.retriever.data.datasets import load_dataset
    from quarry.retriever.diagnosis.index import check_has_vectors
    from quarry.retriever.diagnosis.index import diagnose as examine
    from quarry.retriever.models.lazy import LazyEmbedder
    from quarry.retriever.searcher import Searcher

    lengths, depths = _numbers("--dims", dims or ""), _numbers("--ks", ks)
    data = load_dataset(dataset, split)
    for sentence in data.notes():
        note(f"note: {sentence}")
    searcher = Searcher.open(index, device=device)
    check_has_vectors(searcher.index)
    supply = LazyEmbedder(searcher.index, None, device)
    embedder = supply.get()
    names = [name.strip() for name in routes.split(",") if name.strip()]
    with usage_errors():
        found = examine(Searcher.open(index, embedder=embedder), embedder, data, dims=lengths, ks=depths, routes=names)
    for notice in (supply.notice, *found.notes):
        if notice:
            note(f"note: {notice}")
    if html is not None:
        from quarry.app.cli.report.diagnosis import diagnosis_page

        write_page(diagnosis_page(found, lang), html)
    if as_json:
        out_json(fields(found))
    else:
        _print(found)


def _numbers(option: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise typer.BadParameter(f"{option} is {text!r}; expected whole numbers, comma-separated")
    return [int(part) for part in parts]


def _print(found: "Diagnosis") -> None:
    out(f"{found.dataset}, split {found.split}: {found.queries} queries, {found.relevant_pairs} relevant pairs")
    out(f"{found.model}, {found.dim} dimensions, {found.passages} passages, generation {found.generation}")
    out()
    _print_histogram(found.histograms)
    out()
    _print_band(found)
    out()
    for name, one in (("passages", found.passage_anisotropy), ("queries", found.query_anisotropy)):
        _print_anisotropy(name, one)
    out()
    out("shorter vectors (Matryoshka), exact search of passages")
    table(
        [(str(one.dim), f"{one.ndcg:.4f}", f"{one.share:.1%}") for one in found.dimensions],
        ("dimensions", "nDCG@10", "of full length"),
    )
    for route, points in found.depths.items():
        out()
        out(f"quality by k, {route}, ranked documents")
        table(
            [(str(p.k), f"{p.recall:.4f}", f"{p.precision:.4f}", f"{p.ndcg:.4f}", f"{p.success:.4f}") for p in points],
            ("k", "recall", "precision", "nDCG", "success"),
        )


def _print_histogram(found: "SimilarityHistograms") -> None:
    relevant, random = sum(found.positives), sum(found.random)
    used = [place for place, pair in enumerate(zip(found.positives, found.random, strict=True)) if any(pair)]
    longest = max(max(found.positives) / relevant, max(found.random) / random)
    rows = [
        (
            f"{found.edges[place]:+.3f} .. {found.edges[place + 1]:+.3f}",
            *_bar(found.positives[place] / relevant, longest),
            *_bar(found.random[place] / random, longest),
        )
        for place in range(used[0], used[-1] + 1)
    ]
    table(rows, ("cosine", "", f"{relevant} relevant pairs", "", f"{random} random pairs"))
    out(f"mean cosine: relevant {found.positive_mean:.4f}, random {found.random_mean:.4f}")
    out(f"a relevant pair outscores a random one in {found.separation:.2%} of cases (50 % is chance)")


def _bar(share: float, longest: float) -> tuple[str, str]:
    filled = round(_BAR * share / longest) if longest else 0
    return (f"{share:.1%}" if share else "", "#" * filled or ("." if share else ""))


def _print_band(found: "Diagnosis") -> None:
    band = found.band
    out(
        f"threshold on the dense score of {found.model}: {band.threshold:.4f} "
        f"(rejects {band.false_rejects:.1%} of relevant pairs, accepts {band.false_accepts:.1%} of random ones)"
    )
    out(
        f"  at most 5 % of relevant pairs are rejected up to {band.low:.4f}; at most 5 % of random ones pass from {band.high:.4f}"
    )
    out("  valid only for this model's dense scores; near misses score higher than random pairs")


def _print_anisotropy(name: str, found: "Anisotropy | None") -> None:
    if found is None:
        return
    out(
        f"anisotropy of the {found.count} {name}: mean cosine {found.mean_cosine:.4f} (0 is isotropic), "
        f"first component {found.top_component_share:.1%} of the variance"
    )
