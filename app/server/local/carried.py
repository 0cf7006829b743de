"""Records as JSON and back, exactly: the receiver gets equal dataclasses, with messages that can still be translated."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from quarry.indexer.messages import Message


def carried(value: Any) -> Any:
    """Return a value for JSON."""
    if isinstance(value, Message):
        return value.as_json()
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: carried(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {key: carried(item) for key, item in value.items()}
    return [carried(item) for item in value] if isinstance(value, list | tuple) else value


def received(kind: Any, value: Any) -> Any:
    """Return what `carried` was given.

    Args:
        kind: Its type: a dataclass, a message, a tuple, an optional one of these; others are as JSON has them.
        value: What came.

    Raises:
        TypeError: If the value is not of the kind.
        KeyError: If a field is not there.
        AttributeError: If a message is no object.
    """
    if get_origin(kind) in (Union, types.UnionType):
        if value is None:
            return None
        kind = next(one for one in get_args(kind) if one is not type(None))
    if kind is Message:
        return Message.from_json(value)
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(received(inner[0], item) for item in value)
        return tuple(received(one, item) for one, item in zip(inner, value, strict=True))
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: received(hints[name], item) for name, item in value.items()})
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
