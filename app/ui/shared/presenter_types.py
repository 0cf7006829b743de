"""What presenters share: how they speak, and the rows of the tables they give to a page."""

from collections.abc import Callable
from typing import Any, TypeAlias

Say: TypeAlias = Callable[[str, str], str]
"""Picks the English or the Chinese one of two texts."""
Row: TypeAlias = dict[str, Any]
"""A row of a table, by the column's title."""
