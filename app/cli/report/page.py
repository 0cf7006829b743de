"""One HTML page: everything that is shown is escaped, and a policy forbids the page to load or run anything."""

from collections.abc import Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path

from quarry.app.cli.console import note
from quarry.app.words import InterfaceLanguage, words
from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import write_atomic

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; } h3 { font-size: 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; margin: .5rem 0; } svg text { fill: currentColor; font-size: 13px; }
svg .ink { stroke: currentColor; stroke-width: 1.5; } svg .grid { stroke: #8884; }
footer { margin-top: 3rem; font-size: .85rem; opacity: .75; }
"""


class Page:
    """A page in the making."""

    def __init__(self, title: str, language: InterfaceLanguage) -> None:
        self.language = language
        self._title = title
        self._parts = [f"<h1>{escape(title)}</h1>"]

    def say(self, message: Message) -> str:
        """Return a message in the page's language."""
        return words(message, self.language)

    def heading(self, text: str, *, level: int = 2) -> None:
        """Add a heading."""
        self._parts.append(f"<h{level}>{escape(text)}</h{level}>")

    def paragraph(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f"<p>{escape(text)}</p>")

    def picture(self, svg: str) -> None:
        """Add a picture of `charts`."""
        self._parts.append(svg)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; cells that are numbers stand to the right."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        self._parts.append(f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>')

    def write(self, path: Path) -> None:
        """Write the page.

        Raises:
            OSError: If the file cannot be written.
        """
        made = self.say(Message.of("cli.report_made_by", "Made by Quarry {version}", version=version("quarry-search")))
        html = (
            f'<!doctype html>\n<html lang="{self.language}"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(self._title)}</title>'
            f"<style>{_STYLE}</style></head>\n<body>{''.join(self._parts)}<footer>{escape(made)}</footer></body></html>\n"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, html.encode("utf-8", errors="replace"))


def write_page(page: Page, path: Path) -> None:
    """Write a page and say where it is.

    Raises:
        SettingsError: If the file cannot be written.
    """
    try:
        page.write(path)
    except OSError as err:
        raise SettingsError(
            "cli.report_unwritable",
            "{path} cannot be written ({reason})",
            expected="a file for the report",
            do="Choose another one",
            path=path,
            reason=err.strerror or str(err),
        ) from err
    note(f"wrote {path}")


def _cell(text: str) -> str:
    number = text[:1] in "+-0123456789" and not text.strip("+-.0123456789,% ")
    return f'<td class="number">{escape(text)}</td>' if number and text else f"<td>{escape(text)}</td>"
