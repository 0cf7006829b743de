"""What Word, Excel and PowerPoint files share: the strict variant of the format, charts and descriptions of pictures."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_MOST_POINTS = 10_000


def transitional(path: Path) -> Any:
    """Return a file for the libraries, which know transitional Open XML only; a strict one is rewritten in memory.

    Returns:
        The path as text, or a file in memory.
    """
    with zipfile.ZipFile(path) as archive:
        if not _is_strict(archive):
            return str(path)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as other:
            for member in archive.infolist():
                content = archive.read(member)
                if member.filename.endswith((".xml", ".rels")):
                    content = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/", content)
                other.writestr(member.filename, content)
    target.seek(0)
    return target


def _is_strict(archive: zipfile.ZipFile) -> bool:
    try:
        return _STRICT.search(archive.read("_rels/.rels")) is not None
    except KeyError:
        return False


def chart_text(content: bytes) -> str:
    """Return a chart's title and its series, one line each as `series: category value, ...`; of a diagram, its texts."""
    from lxml import etree

    root = etree.fromstring(content)
    lines = [" ".join("".join(part.text or "" for part in root.iter(f"{_A}t")).split())] if _is_chart(root) else []
    if not lines:
        return "\n".join(part.text or "" for part in root.iter(f"{_A}t"))
    for series in root.iter(f"{_C}ser"):
        name = " ".join(_points(series.find(f"{_C}tx")))
        values = _points(series.find(f"{_C}val") if series.find(f"{_C}val") is not None else series.find(f"{_C}yVal"))
        heads = _points(series.find(f"{_C}cat") if series.find(f"{_C}cat") is not None else series.find(f"{_C}xVal"))
        pairs = [f"{heads[n]} {value}" if n < len(heads) else value for n, value in enumerate(values)]
        lines.append(": ".join(part for part in (name, ", ".join(pairs)) if part))
    return "\n".join(line for line in lines if line)


def _is_chart(root: Any) -> bool:
    return bool(root.tag == f"{_C}chartSpace")


def _points(node: Any) -> list[str]:
    if node is None:
        return []
    return [point.text or "" for point in node.iter(f"{_C}v")][:_MOST_POINTS]


def alternative_text(node: Any) -> str:
    """Return the description of a picture, empty when it has none."""
    return " ".join((node.get("descr") or "").split())
