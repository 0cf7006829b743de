"""reStructuredText, LaTeX and Org: read as they stand, with their headings as ATX lines."""

import re
from pathlib import Path

from quarry.indexer.readers.base import Extract, Reading, ReadOptions, first_heading, stem
from quarry.indexer.readers.text.plain import read_text

_RULE = re.compile(r"([=\-~^\"'`#*+:.<>_])\1{1,}")
_LATEX_LEVELS = {
    "part": 1, "chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5, "subparagraph": 6, "title": 1,
}  # fmt: skip  # a table
_LATEX_HEADING = re.compile(
    r"^[ \t]*\\(" + "|".join(_LATEX_LEVELS) + r")\*?(?:\[[^\[\]\n]{0,300}\])?\{(.{1,500})\}[^{}\n]{0,200}$"
)
_LABEL = re.compile(r"\\label\{[^{}\n]{0,200}\}")
_COMMENT = re.compile(r"(?<!\\)%.*")
_ESCAPED = re.compile(r"(?<!\\)\\([&%$#_{}])")
_ORG_HEADING = re.compile(r"^(\*{1,6}) +(?=\S)")
_ORG_KEY = re.compile(r"^#\+(title|author|date):[ \t]*(.{1,300})$", re.IGNORECASE)


def read_rst(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read reStructuredText: titles that are underlined become ATX lines, their levels in order of appearance."""
    extract = read_text(path, content, options).extracts[0]
    lines = extract.text.split("\n")
    levels: dict[str, int] = {}
    out: list[str] = []
    number = 0
    while number < len(lines):
        over = (
            _is_rule(lines[number]) and number + 2 < len(lines) and lines[number + 2].rstrip() == lines[number].rstrip()
        )
        title = number + 1 if over else number
        under = title + 1
        if under < len(lines) and _is_title(lines[title], lines[under]) and not _is_rule(lines[title]):
            style = f"{lines[under][0]}{over}"
            out.append(f"{'#' * min(6, levels.setdefault(style, len(levels) + 1))} {lines[title].strip()}")
            number = under + 1
        else:
            out.append(lines[number])
            number += 1
    return _reading(path, extract, "\n".join(out))


def _is_rule(line: str) -> bool:
    return _RULE.fullmatch(line.rstrip()) is not None


def _is_title(title: str, under: str) -> bool:
    words = title.strip()
    return bool(words) and _is_rule(under) and len(under.rstrip()) >= min(len(words), 3)


def read_tex(path: Path, content: bytes, options: ReadOptions) -> Reading:
    r"""Read LaTeX: `\section{...}` and its like become ATX lines, comments are left out, `\_` and its like are the sign alone."""
    extract = read_text(path, content, options).extracts[0]
    lines = []
    for line in extract.text.split("\n"):
        bare = _COMMENT.sub("", line) if "%" in line else line
        if bare != line and not bare.strip():
            continue
        match = _LATEX_HEADING.match(_LABEL.sub("", bare).rstrip())
        lines.append(f"{'#' * _LATEX_LEVELS[match[1]]} {match[2]}" if match else bare)
    return _reading(path, extract, _ESCAPED.sub(r"\1", "\n".join(lines)))


def read_org(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read Org: headlines become ATX lines, `#+title:` the title."""
    extract = read_text(path, content, options).extracts[0]
    lines = []
    facts = dict(extract.meta)
    for line in extract.text.split("\n"):
        if match := _ORG_KEY.match(line):
            facts[match[1].lower()] = match[2].strip()
        lines.append(_ORG_HEADING.sub(lambda found: "#" * len(found[1]) + " ", line))
    title = facts.pop("title", "")
    return _reading(path, Extract(extract.text, title, facts), "\n".join(lines))


def _reading(path: Path, extract: Extract, text: str) -> Reading:
    return Reading((Extract(text, extract.title or first_heading(text) or stem(path), extract.meta),))
