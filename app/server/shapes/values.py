"""Values that requests of several operations hold, and how strictly they are read."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from quarry.app.server.problems import UNKNOWN_FIELD

# At least one character besides NUL and white space, which is spelled out because \s differs between regex dialects.
SEARCHABLE = r"[^\x00\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
Name = Annotated[str, StringConstraints(min_length=1, max_length=2_048, pattern=r"^[^\x00]+$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=32_768, pattern=SEARCHABLE)]
# Pydantic says which values keys of the pattern have, and nothing of other keys, which it refuses.
KEYS: dict[str, Any] = {"additionalProperties": False}


def _whole(value: Any) -> Any:
    """Take 2.0 for 2, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)


class Typed(BaseModel):
    """A request whose values must have the schema's types: no quoted numbers, no strings for booleans."""

    model_config = ConfigDict(strict=True)


class Strict(Typed):
    """A request of our own design: unknown fields are errors, which name the known ones."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, value: Any) -> Any:
        unknown = [key for key in value if key not in cls.model_fields] if isinstance(value, Mapping) else []
        if unknown:
            known = list(cls.model_fields)
            raise PydanticCustomError(UNKNOWN_FIELD, "unknown field", {"unknown": unknown, "known": known})
        return value


FilterValue = (
    Annotated[str, StringConstraints(max_length=2_048)] | bool | int | Annotated[float, Field(allow_inf_nan=False)]
)
Filters = Annotated[
    dict[Name, FilterValue | Annotated[list[FilterValue], Field(min_length=1)]],
    Field(
        max_length=32,
        json_schema_extra=KEYS,
        description="Metadata key to a value or several: accepted ones, in which * is a wildcard, and bounds and refusals: "
        ">=2024-04-01, <10, !=draft. Numbers and dates compare by value; nested keys are dotted.",
    ),
]


ExpandTokens = Annotated[
    int, Field(ge=1, le=8_192, description="Estimated tokens of a passage with what stands around it."), WHOLE
]
