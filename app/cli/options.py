"""Options that several commands have, and what becomes of their values."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from quarry.app.words import InterfaceLanguage
from quarry.indexer.errors import BadFilter
from quarry.indexer.principals import Principals
from quarry.indexer.storage.texts.conditions import parse_expression


class ExpandName(StrEnum):
    """What comes with a passage."""

    none = "none"
    section = "section"
    neighbors = "neighbors"


ExpandOption = Annotated[ExpandName, typer.Option(help="Show each passage with its section, or with its neighbors.")]
ExpandTokensOption = Annotated[
    int, typer.Option(help="Estimated tokens of a passage with what stands around it.", min=1, max=100_000)
]


class RouteName(StrEnum):
    """The routes of the first stage."""

    hybrid = "hybrid"
    dense = "dense"
    bm25 = "bm25"


DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps; append :float32 to avoid bfloat16.")]
CutoffOption = Annotated[
    int | None,
    typer.Option(
        "--cutoff-layers", help="Run only the first N layers of a layerwise reranker. Default: its own.", min=1
    ),
]
CompressOption = Annotated[
    int,
    typer.Option(
        "--compress", help="Average each N tokens of a passage inside a reranker trained for it: 1, 2, 4 or 8."
    ),
]
ExamplesOption = Annotated[
    Path | None,
    typer.Option(
        "--examples",
        help='Examples in front of each query, for in-context models such as bge-en-icl: JSON lines with "query" and "response".',
    ),
]
EndpointOption = Annotated[
    str,
    typer.Option(
        envvar="QUARRY_LLM_ENDPOINT",
        help="Base URL of an OpenAI-compatible endpoint, such as http://localhost:8000/v1. The API key is read from "
        "QUARRY_LLM_API_KEY.",
    ),
]
EndpointModelOption = Annotated[str, typer.Option(envvar="QUARRY_LLM_MODEL", help="Model name at the endpoint.")]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="Metadata filter: KEY=VALUE (repeat a key to accept several values; * is a wildcard), KEY!=VALUE, or a bound such as "
        "'date>=2024-04-01'.",
    ),
]
AsOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="PRINCIPAL[,..]",
        help="Show only what this person or these groups may see: documents whose metadata `allow` names one of them, and those without.",
    ),
]
HostOption = Annotated[
    str, typer.Option(help="Address to listen on; anything but loopback requires a token or password.")
]
DefaultDenyOption = Annotated[
    bool,
    typer.Option(
        "--default-deny",
        help="Holders of keys see only documents whose metadata `allow` names them (`quarry keys`).",
    ),
]
ChunkTokensOption = Annotated[int | None, typer.Option(help="Maximum passage length in model tokens.")]
OverlapOption = Annotated[int | None, typer.Option(help="Overlap between adjacent passages in tokens.")]
DimOption = Annotated[
    int | None, typer.Option(help="Truncate vectors to the first DIM dimensions (Matryoshka models).")
]
EncodingOption = Annotated[str | None, typer.Option(help="Encoding of text files. Default: detected per file.")]
DownloadOption = Annotated[bool, typer.Option("--download", help="Allow downloading the model from the hub.")]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress bar.")]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        help="Also answer under this host name, as behind a reverse proxy. Repeat it for several.",
    ),
]
HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", help="Also write a report with pictures: one page that loads nothing from outside."),
]
LanguageOption = Annotated[InterfaceLanguage, typer.Option(help="Output language.")]
PortOption = Annotated[int, typer.Option(help="Port; 0 picks a free one.", min=0, max=65535)]
RerankOption = Annotated[
    str,
    typer.Option(
        help="Reranker: none, late (the index's token states), auto (those, then a local one, if any), a repository id or a "
        "folder."
    ),
]
ListeningJsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print where it listens as one line of JSON, with a token or password that it made."),
]


def principals_of(names: str | None) -> Principals | None:
    """Return who asks by `--as`; None, who sees everything, without it."""
    return None if names is None else Principals.of(names)


def parse_filters(expressions: list[str]) -> dict[str, list[str]] | None:
    """Parse KEY=VALUE, KEY!=VALUE and bounds such as KEY>=VALUE into filters.

    Raises:
        typer.BadParameter: If one has no key or no operator.
    """
    filters: dict[str, list[str]] = {}
    for expression in expressions:
        try:
            key, value = parse_expression(expression)
        except BadFilter as err:
            raise typer.BadParameter(str(err)) from err
        filters.setdefault(key, []).append(value)
    return filters or None
