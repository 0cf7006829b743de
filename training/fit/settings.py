"""Settings that a file or a program gives, checked key by key. Imports no torch."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from quarry.indexer.errors import SettingsError


class Settings(BaseModel):
    """Frozen; a key that is not known is an error, so that a misspelt setting does not pass for its default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Read settings as a TOML or JSON file gives them.

        Raises:
            SettingsError: If a key is unknown or a value out of its range; every one is named.
        """
        try:
            return cls.model_validate(dict(settings))
        except ValidationError as err:
            faults = [f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}" for fault in err.errors()]
            raise SettingsError(
                "fit.settings",
                "the settings have {count:fault|faults}: {faults}",
                do="See `{spec}`",
                count=len(faults),
                faults="; ".join(faults),
                spec=f"{cls.__module__}.{cls.__name__}",
            ) from err
