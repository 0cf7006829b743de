"""What an Excel file holds beside its cells: comments, text boxes, charts, diagrams, descriptions of pictures, headers and footers."""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

from quarry.indexer.readers.office.ooxml import chart_text

_COMMENTS = re.compile(r"xl/(?:comments/)?comments?\d*\.xml")
_THREADS = re.compile(r"xl/threadedComments/\w+\.xml")
_DRAWINGS = re.compile(r"xl/drawings/drawing\d*\.xml")
_CHARTS = re.compile(r"xl/(?:charts/chart(?:Ex)?\d*|diagrams/data\d*)\.xml")
_SHEETS = re.compile(r"xl/(?:work|chart)sheets/sheet\d*\.xml")
_HEADS = re.compile(rb"<(?:\w+:)?headerFooter\b.{0,20000}?</(?:\w+:)?headerFooter>", re.DOTALL)
_CODE = re.compile(r'&(?:"[^"]{0,99}"|K[0-9A-F]{6}|K\d\d[+-]\d{3}|\d{1,3}|[A-JL-Z&])', re.IGNORECASE)


def texts_beside_cells(file: Any, omitted: Counter[str]) -> list[str]:
    """Return the texts, each once.

    Args:
        file: The path, or a file in memory.
        omitted: Counts pictures without a description and embedded files.
    """
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        omitted["embedded_files"] += sum(name.startswith("xl/embeddings/") for name in names)
        texts = [*_comments(archive, names)]
        for name in names:
            if _DRAWINGS.fullmatch(name):
                texts.extend(_drawing(archive.read(name), omitted))
            elif _CHARTS.fullmatch(name):
                texts.append(chart_text(archive.read(name)))
            elif _SHEETS.fullmatch(name):
                texts.extend(_margins(archive.read(name)))
    return [text for text in dict.fromkeys(texts) if text.strip()]


def _comments(archive: zipfile.ZipFile, names: list[str]) -> Iterator[str]:
    """Yield comments; what Excel writes for old versions in place of a thread is left out."""
    from lxml import etree

    threads = [
        _words(comment)
        for name in names
        if _THREADS.fullmatch(name)
        for comment in etree.fromstring(archive.read(name)).iter("{*}threadedComment")
    ]
    yield from threads
    for name in names:
        if _COMMENTS.fullmatch(name):
            for comment in etree.fromstring(archive.read(name)).iter("{*}comment"):
                words = _words(comment)
                if not any(thread and thread in words for thread in threads):
                    yield words


def _words(node: Any) -> str:
    return " ".join("".join(part.text or "" for part in node.iter("{*}t", "{*}text")).split())


def _drawing(content: bytes, omitted: Counter[str]) -> Iterator[str]:
    from lxml import etree

    root = etree.fromstring(content)
    for shape in root.iter("{*}sp"):
        yield "\n".join(line for line in (_words(paragraph) for paragraph in shape.iter("{*}p")) if line)
    for picture in root.iter("{*}pic"):
        told = " ".join((node.get("descr") or "") for node in picture.iter("{*}cNvPr")).strip()
        omitted["pictures"] += not told
        yield told


def _margins(content: bytes) -> Iterator[str]:
    """Yield headers and footers of a sheet, without the codes for fonts, pages and dates."""
    from lxml import etree

    found = _HEADS.search(content)
    if found is None:
        return
    parser = etree.XMLParser(recover=True, resolve_entities=False)  # prefixes are declared further up
    for node in etree.fromstring(found[0], parser):
        words = " ".join(_CODE.sub(" ", node.text or "").split())
        if any(character.isalpha() for character in words):
            yield words
