"""The file of --settings."""

from pathlib import Path
from typing import Any


def read_settings(path: Path) -> dict[str, Any]:
    """Read a TOML file of training settings; what it may hold is checked by who uses it.

    Raises:
        SettingsError: If it cannot be read or is not TOML.
    """
    import tomllib

    from quarry.indexer.errors import SettingsError

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise SettingsError(
            "cli.settings_unreadable",
            "{path} cannot be read ({reason})",
            expected="TOML with training settings",
            do="Fix it",
            path=path,
            reason=str(err),
        ) from err
