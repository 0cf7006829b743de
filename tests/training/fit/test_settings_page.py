"""docs/training.md has every setting of every TOML file, no other one, and the defaults of the code."""

import re

import pytest
from pydantic import BaseModel

from quarry.training.fit.spec import (
    BatchSpec,
    DistillationSpec,
    InContextSpec,
    LoraSpec,
    LossSpec,
    MatryoshkaSpec,
    PretrainSpec,
    RerankerSpec,
    TrainSpec,
)
from quarry.training.tuning.query_shift.spec import QueryShiftSpec
from quarry.training.tuning.second_stage.spec import SecondStageSpec
from tests import ROOT

PARTS = {
    "loss": LossSpec,
    "matryoshka": MatryoshkaSpec,
    "distillation": DistillationSpec,
    "batches": BatchSpec,
    "lora": LoraSpec,
    "in_context": InContextSpec,
}
TABLES = {
    "Settings": (TrainSpec, RerankerSpec, PretrainSpec),
    "Second stage": (SecondStageSpec,),
    "Queries": (QueryShiftSpec,),
}


def rows(heading):
    """Return the names and the default of each line of a table below a heading."""
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^##+ {heading}\n(.*?)(?=^##+ |\Z)", page, re.MULTILINE | re.DOTALL)
    for line in section.splitlines():
        names, _, rest = line.removeprefix("| ").partition(" | ")
        if line.startswith("| `"):
            yield re.findall(r"`([a-z_.]+)`", names), rest.partition(" |")[0]


def fields(*specs: type[BaseModel]):
    """Return all settings of some specs with the default of the first spec that has each; parts as `part.name`."""
    found = {}
    for spec in specs:
        for name, field in spec.model_fields.items():
            inner = (
                {f"{name}.{one}": part.default for one, part in PARTS[name].model_fields.items()}
                if name in PARTS
                else {}
            )
            found = {**(inner or {name: field.default}), **found}
    return found


def as_shown(value):
    if isinstance(value, tuple):
        return str(list(value))
    return str(value).lower() if isinstance(value, bool) else f"{value:,}" if isinstance(value, int) else str(value)


@pytest.mark.parametrize(("heading", "specs"), TABLES.items())
def test_a_table_has_every_setting_and_no_other_one(heading, specs):
    shown = [name for names, _ in rows(heading) for name in names]
    assert sorted(shown) == sorted(fields(*specs))


@pytest.mark.parametrize(("heading", "specs"), TABLES.items())
def test_a_plain_default_on_the_page_is_that_of_the_code(heading, specs):
    """Those that differ from stage to stage are said in words, and are not compared."""
    known, compared = fields(*specs), 0
    for names, cell in rows(heading):
        shown = cell.split(", ") if len(names) > 1 else [cell]
        plain = [re.sub(r" \(.*\)", "", one).strip("`") for one in shown]
        if len(plain) == len(names) and not any(" " in one and "[" not in one for one in plain):
            assert plain == [as_shown(known[name]) for name in names]
            compared += len(names)
    assert compared > len(known) / 2
