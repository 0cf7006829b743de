"""What is filled into the fields of a form in OpenDocument."""

from collections.abc import Iterator
from typing import Any

_FORM = "{urn:oasis:names:tc:opendocument:xmlns:form:1.0}"
_TICKED = frozenset({f"{_FORM}checkbox", f"{_FORM}radio"})
_UNREAD_FIELDS = frozenset({f"{_FORM}{name}" for name in ("password", "hidden", "property", "form")})


def filled_fields(forms: Any) -> Iterator[str]:
    """Yield what is filled into the fields of a form, as `name: value` lines."""
    for field in forms.iter():
        if not isinstance(field.tag, str) or not field.tag.startswith(_FORM):
            continue
        name = field.get(f"{_FORM}label") or field.get(f"{_FORM}name") or ""
        value = field.get(f"{_FORM}current-value") or ""
        state = field.get(f"{_FORM}current-state") or field.get(f"{_FORM}state") or ""
        if field.tag in _TICKED:
            yield f"{'☒' if state == 'checked' else '☐'} {name}" if name else ""
        elif field.tag not in _UNREAD_FIELDS and value:
            yield f"{name}: {value}" if name else value
