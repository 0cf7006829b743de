"""Small files that once stopped a run: texts whose time to read and cut grew with the square or cube of their length.

Each entry makes a file of about `size` characters, by name and ending.
"""

import json
from collections.abc import Callable

Maker = Callable[[int], bytes]


def _text(pattern: Callable[[int], str]) -> Maker:
    return lambda size: pattern(size).encode()


def _amplifying_json(size: int) -> bytes:
    depth, leaves = 100, max(1, size // 5)
    value: object = [1] * leaves
    for _ in range(depth):
        value = {"k" * max(1, size // 250): value}
    return json.dumps(value).encode()


HOSTILE: dict[str, tuple[str, Maker]] = {
    "blanks in a heading": (".md", _text(lambda n: "# a" + " " * n + "b")),
    "hashes in a heading": (".md", _text(lambda n: "# a" + "#" * n + "b")),
    "blanks and hashes in a heading": (".md", _text(lambda n: "# a" + " #" * (n // 2) + "b")),
    "full stops": (".txt", _text(lambda n: "." * n + "x")),
    "full stops and brackets": (".txt", _text(lambda n: ".)" * (n // 2) + "x")),
    "exclamation marks": (".md", _text(lambda n: "!" * n + "x")),
    "fences and headings": (".md", _text(lambda n: "```\n# h\n" * (n // 8))),
    "combining marks of one kind": (".txt", _text(lambda n: "a" + "\u0300" * n)),
    "combining marks of two kinds": (".txt", _text(lambda n: "a" + "\u0300\u0316" * (n // 2))),
    "zero-width joiners": (".txt", _text(lambda n: "a" + "\u200d" * n)),
    "blanks": (".txt", _text(lambda n: "a" + " " * n + "b")),
    "blank lines": (".txt", _text(lambda n: "a" + "\n \n" * (n // 3) + "b")),
    "one Latin word": (".txt", _text(lambda n: "a" * n)),
    "one Latin word with an accent": (".txt", lambda n: b"a" * n + b"\xe9"),
    "rare Han characters": (".txt", _text(lambda n: "".join(chr(0x3400 + k % 6000) for k in range(n)))),
    "one Han character": (".txt", _text(lambda n: "的" * n)),
    "cells of an HTML table": (
        ".html",
        _text(lambda n: "<table><tr>" + "<td></td>" * (n // 9) + "<td>a</td></tr></table>"),
    ),
    "bars and a word": (".html", _text(lambda n: "<p>" + " |" * (n // 2) + "a</p>")),
    "open paragraphs": (".html", _text(lambda n: "<p>" * (n // 3) + "a")),
    "nested titles": (".xml", _text(lambda n: "<r>" + "<title>a" * (n // 16) + "</title>" * (n // 16) + "</r>")),
    "keys that amplify": (".json", _amplifying_json),
    "small arrays": (".json", _text(lambda n: "[" + "[1]," * (n // 4) + "1]")),
    "one long title": (".md", _text(lambda n: "---\ntitle: " + "word " * (n // 10) + "\n---\n" + "text. " * (n // 12))),
    "headings without text": (".md", _text(lambda n: "# a\n" * (n // 4))),
    "quotes in a table": (".csv", _text(lambda n: '"a","b"\n' * (n // 8))),
    "front matter without an end": (".md", _text(lambda n: "---\n" + "a: b\n---x\n" * (n // 10))),
}
