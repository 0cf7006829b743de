"""Jupyter notebooks: Markdown as it stands, code in fences, and what the code printed. Runs in the worker process."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quarry.indexer.readers.base import Extract, Reading, ReadOptions, Unreadable, damaged_file, first_heading, stem
from quarry.indexer.readers.charset import decode
from quarry.indexer.readers.text.markup import html_text

_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_OUTPUT = 20_000  # characters of one output


def read_notebook(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read the cells of a notebook in order; outputs that are no text are counted as left out.

    Raises:
        Unreadable: `damaged` when it is not a notebook.
    """
    decoded = decode(content, charset=options.charset)
    try:
        notebook = json.loads(decoded.text)
        cells = _cells(notebook)
    except (ValueError, TypeError, AttributeError) as err:
        raise Unreadable("damaged", damaged_file("notebook", err)) from err
    language = _language(notebook)
    omitted: Counter[str] = Counter()
    blocks: list[str] = []
    for cell in cells:
        source = _joined(cell.get("source", cell.get("input", ""))).strip("\n")
        if cell.get("cell_type") == "code":
            blocks.append(f"```{language}\n{source}\n```" if source.strip() else "")
            blocks.extend(_outputs(cell, omitted))
        elif cell.get("cell_type") == "heading":  # notebooks before version 4
            blocks.append(f"{'#' * int(cell.get('level') or 1)} {source}")
        else:
            blocks.append(source)
    text = "\n\n".join(block for block in blocks if block.strip())
    facts = {"language": language} if language else {}
    return Reading((Extract(text, first_heading(text) or stem(path), facts),), omitted=+omitted)


def _cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    if "cells" not in notebook and "worksheets" not in notebook:
        raise ValueError("no cells")
    sheets = notebook["worksheets"] if "cells" not in notebook else [notebook]
    return [cell for sheet in sheets for cell in sheet.get("cells", []) if isinstance(cell, dict)]


def _language(notebook: dict[str, Any]) -> str:
    meta = notebook.get("metadata") or {}
    named = (meta.get("kernelspec") or {}).get("language") or (meta.get("language_info") or {}).get("name") or ""
    return re.sub(r"[^\w+#.-]", "", str(named))[:30]


def _outputs(cell: dict[str, Any], omitted: Counter[str]) -> Iterator[str]:
    for output in cell.get("outputs") or []:
        if output.get("output_type") in ("error", "pyerr"):
            yield f"{output.get('ename', '')}: {output.get('evalue', '')}"
            continue
        data = output.get("data", output)
        text = _joined(data.get("text/markdown") or data.get("text/plain") or data.get("text") or "")
        if not text and "text/html" in data:
            text = html_text(_joined(data["text/html"]))[1]
        pictures = sum(kind.startswith(("image/", "png", "jpeg", "svg", "application/")) for kind in data)
        omitted["pictures"] += bool(pictures)
        if len(text) > _LONGEST_OUTPUT:
            omitted["cut_outputs"] += 1
        if not pictures or not text.lstrip().startswith("<"):  # `<Figure size 640x480 with 1 Axes>`
            yield _COLORS.sub("", text[:_LONGEST_OUTPUT]).strip("\n")


def _joined(source: Any) -> str:
    return "".join(str(line) for line in source) if isinstance(source, list) else str(source)
