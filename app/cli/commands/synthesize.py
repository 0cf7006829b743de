"""`quarry synthesize`: training rows by a language model, instructions in the name of personas first; docs/training.md says how."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.console import ProgressBar, note, out, out_json
from quarry.app.cli.exits import usage_errors
from quarry.app.cli.help import QuarryCommand
from quarry.app.cli.options import EndpointModelOption, EndpointOption

if TYPE_CHECKING:
    from quarry.indexer.embedder import Progress
    from quarry.training.synthesis.spec import SynthesisReport


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "synthesize",
        cls=QuarryCommand,
        short_help="Have training rows written by a language model.",
        help="Have training rows for `quarry train` written by a language model: first instructions, each in the name of a persona, "
        "then a row with a hard negative for each. Nothing but prompts is sent. The same command resumes an interrupted run and pays "
        "for no answer twice.",
    )(synthesize)


def synthesize(
    into: Annotated[Path, typer.Option(help="File of training rows (JSON lines); answers are kept beside it.")],
    rows: Annotated[int, typer.Option(help="Rows to ask for, over all kinds and languages alike.", min=1)] = 60,
    personas: Annotated[
        Path | None,
        typer.Option(
            help="File of personas, JSON lines with a field persona, of any size. Default: six of each language."
        ),
    ] = None,
    kinds: Annotated[
        str,
        typer.Option(help="Kinds of tasks, by commas: short-long, long-short, short-short, long-long, sts, bitext."),
    ] = "short-long,long-short,short-short,long-long,sts,bitext",
    languages: Annotated[
        str, typer.Option(help="Languages of the rows as two letters, by comma: en, zh, de, ja ...")
    ] = "en,zh",
    endpoint: EndpointOption = "",
    endpoint_model: EndpointModelOption = "",
    parallel: Annotated[int, typer.Option(help="Requests at a time.", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
) -> None:
    """Have rows written."""
    from typing import Any, cast

    from quarry.retriever.llm.endpoint import Endpoint
    from quarry.training.synthesis.run import synthesize as run
    from quarry.training.synthesis.spec import SynthesisSpec

    _check_endpoint(endpoint, endpoint_model)
    with usage_errors():
        chosen = cast(Any, tuple(name.strip() for name in kinds.split(",") if name.strip()))
        spoken = cast(Any, tuple(name.strip() for name in languages.split(",") if name.strip()))
        spec = SynthesisSpec(rows, chosen, spoken, personas, seed, parallel)
    if spec.without_personas:
        note(
            f"there are no personas in {', '.join(spec.without_personas)}: the English ones stand in; --personas gives others"
        )
    bar = ProgressBar(quiet=quiet)

    def observe(name: str, total: int | None) -> "Progress":
        bar.phase(name, total)
        return bar.advance

    try:
        report = run(into, Endpoint(endpoint, endpoint_model, max_tokens=2_000), spec, observer=observe)
    finally:
        bar.close()
    _print(report, as_json=as_json)


def _check_endpoint(url: str, model: str) -> None:
    from quarry.indexer.errors import SettingsError

    if not url or not model:
        raise SettingsError(
            "cli.synthesize_without_model",
            "no endpoint or no model was given",
            expected="both",
            do="Give --endpoint URL and --endpoint-model NAME, or set QUARRY_LLM_ENDPOINT and QUARRY_LLM_MODEL",
        )


def _print(report: "SynthesisReport", *, as_json: bool) -> None:
    from quarry.app.cli.console import fields

    dropped = {str(what): count for what, count in report.dropped.items()}
    if as_json:
        out_json(fields(report) | {"dropped": dropped, "file": str(report.file)})
        return
    drawn, bad = report.personas
    if bad:
        note(f"{bad:,} lines of the personas could not be read")
    out(f"{report.asked:,} requests, {drawn:,} personas, {sum(report.instructions.values()):,} instructions")
    for what, count in dropped.items():
        out(f"  left out: {count:,} {what}")
    made = ", ".join(f"{count:,} {kind}" for kind, count in report.rows.items())
    out(f"{sum(report.rows.values()):,} rows in {report.file}: {made} (digest {report.digest[:12]})")
