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
    "many keys": (".json", _text(lambda n: "{" + ",".join(f'"k{k}":{k}' for k in range(n // 14)) + "}")),
    "one key many times": (".json", _text(lambda n: "{" + ",".join(['"k":"ab"'] * (n // 9)) + "}")),
    "empty objects": (".json", _text(lambda n: "[" + ",".join(["{}"] * (n // 3)) + "]")),
    "arrays in arrays": (".json", _text(lambda n: "[" + ",".join(["[" * 50 + "]" * 50] * (n // 101)) + "]")),
    "many columns": (".csv", _text(lambda n: (",".join(["c"] * (n // 6)) + "\n") * 3)),
    "empty columns": (".csv", _text(lambda n: ",,,\n" * (n // 4) + "a,b,c,d\n")),
    "open quotation marks": (".txt", _text(lambda n: '"a ' * (n // 3))),
    "quotation marks in each other": (".txt", _text(lambda n: "「" * (n // 2) + "字" + "」" * (n // 2))),
    "brackets in each other": (".md", _text(lambda n: "[" * (n // 2) + "a" + "]" * (n // 2))),
    "code fences": (".md", _text(lambda n: "```\n" * (n // 4))),
    "headings of all levels": (
        ".md",
        _text(lambda n: "".join(f"{'#' * (k % 6 + 1)} heading\n" for k in range(n // 12))),
    ),
    "quoted quotations": (".md", _text(lambda n: "> " * (n // 2) + "a")),
    "rules of a table": (".md", _text(lambda n: "---|---\n" * (n // 8))),
    "a row without an end": (".md", _text(lambda n: "| a " * (n // 4) + "|\n|" + "---|" * (n // 4))),
    "a line of Chinese": (".txt", _text(lambda n: "水闸管理规定第十二条施工期间不得停泊" * (n // 18))),
    "numbers in Chinese": (".txt", _text(lambda n: "一二三四五六七八九十百千万" * (n // 13))),
    "joined pictures": (".txt", _text(lambda n: "👩\u200d👧\u200d" * (n // 4))),
    "elements in elements": (".html", _text(lambda n: "<div>" * (n // 11) + "a" + "</div>" * (n // 11))),
    "a long attribute": (".html", _text(lambda n: f"<p title='{'a ' * (n // 2)}'>x</p>")),
    "many attributes": (".html", _text(lambda n: "<p " + " ".join(f"a{k}=1" for k in range(n // 8)) + ">x</p>")),
    "many choices": (".html", _text(lambda n: "<select>" + "<option>a" * (n // 9))),
    "many tables": (".html", _text(lambda n: "<table><tr><td>a<td>b</tr></table>" * (n // 34))),
    "tables in tables": (".html", _text(lambda n: "<table><tr><td>" * (n // 42) + "a" + "</table>" * (n // 42))),
    "spans over spans": (".html", _text(lambda n: "<table>" + "<tr><td rowspan=999 colspan=999>a" * (n // 34))),
    "attributes with words": (".xml", _text(lambda n: "<r " + " ".join(f"a{k}='word'" for k in range(n // 14)) + "/>")),
    "groups in groups": (".rtf", _text(lambda n: "{\\rtf1 " + "{" * (n // 2) + "a" + "}" * (n // 2) + "}")),
    "headers of a mail": (".eml", _text(lambda n: "Subject: a\nFrom: a@b.c\n" + "X-A: b\n" * (n // 7) + "\nbody\n")),
    "brackets in a sender": (".eml", _text(lambda n: "Subject: a\nFrom: " + "(" * n + "\n\nbody")),
}
