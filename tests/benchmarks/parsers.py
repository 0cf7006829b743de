"""Our readers beside other parsers, on the same files: `python -m tests.benchmarks.parsers [FOLDER] [--cases FOLDER]`.

Table in docs/decisions.md. The others run where they are installed (`pip install python-calamine docling 'markitdown[docx,xlsx,pptx,pdf]'`).
Coverage is that of tests.benchmarks.reading: the share of the characters of each part of the files that stand in the text. A case is a
folder with `input/` and `checks.json`; of its checks, those for a text and for a line count, of inputs that the parser takes. Seconds
are processor seconds for a megabyte of file, the best of three, without the start of the parser.
"""

import argparse
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from time import process_time

from tests.benchmarks.reading import DATA, coverage

FORMATS = (".docx", ".xlsx", ".pptx", ".pdf", ".html")
Parser = Callable[[Path], str]


def ours() -> tuple[Parser, tuple[str, ...]]:
    from quarry.indexer.readers.base import ReadOptions
    from quarry.indexer.readers.formats import format_of
    from quarry.indexer.readers.registry import read_here

    def parse(path: Path) -> str:
        content = path.read_bytes()
        reading = read_here(format_of(path, content), path, content, ReadOptions())
        return "\n".join(f"{extract.title}\n{extract.text}" for extract in reading.extracts)

    return parse, FORMATS


def markitdown() -> tuple[Parser, tuple[str, ...]]:
    from markitdown import MarkItDown

    converter = MarkItDown(enable_plugins=False)
    return lambda path: str(converter.convert(str(path)).text_content), FORMATS


def docling() -> tuple[Parser, tuple[str, ...]]:
    """Without PDF, for which it downloads models."""
    from docling.document_converter import DocumentConverter

    converter = DocumentConverter()
    return lambda path: str(converter.convert(path).document.export_to_markdown()), (".docx", ".xlsx", ".pptx", ".html")


def calamine() -> tuple[Parser, tuple[str, ...]]:
    from python_calamine import CalamineWorkbook

    def parse(path: Path) -> str:
        book = CalamineWorkbook.from_path(str(path))
        rows = (row for name in book.sheet_names for row in book.get_sheet_by_name(name).to_python())
        return "\n".join(" | ".join(map(str, row)) for row in rows)

    return parse, (".xlsx",)


PARSERS = {"quarry": ours, "markitdown": markitdown, "docling": docling, "python-calamine": calamine}


def parsed(parse: Parser, path: Path) -> str:
    """Return the text of a file, nothing when the parser refuses it: other people's parsers raise anything."""
    try:
        return parse(path)
    except Exception:  # noqa: BLE001 (of another parser: a file that it fails on has no text, and is counted)
        return ""


def plain(text: str) -> str:
    return re.sub(r"[\s\u200b-\u200d\u2060\ufeff\u00ad\\]+", "", unicodedata.normalize("NFKC", text)).lower()


def checks_passed(parse: Parser, formats: tuple[str, ...], cases: Path) -> dict[str, Counter[str]]:
    """Return how many checks there are for each format, and how many hold."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for folder in sorted(path.parent for path in cases.glob("*/checks.json")):
        files = [path for path in (folder / "input").rglob("*") if path.suffix.lower() in FORMATS]
        wanted = [
            check.get("needles") or [check["needle"]]
            for check in json.loads((folder / "checks.json").read_text(encoding="utf-8"))["checks"]
            if check["type"] in ("text", "line")
        ]
        if len({path.suffix for path in files}) != 1 or files[0].suffix not in formats or not wanted:
            continue
        lines = [plain(line) for path in files for line in parsed(parse, path).split("\n")]
        whole = "".join(lines)
        for needles in ([plain(one) for one in some] for some in wanted):
            holds = needles[0] in whole if len(needles) == 1 else any(all(n in line for n in needles) for line in lines)
            counts[files[0].suffix].update(checks=1, hold=holds)
    return counts


def seconds_a_megabyte(parse: Parser, files: list[Path]) -> float:
    times = []
    for _ in range(3):
        began = process_time()
        for path in files:
            parsed(parse, path)
        times.append(process_time() - began)
    return min(times) / (sum(path.stat().st_size for path in files) / 1e6)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", nargs="?", type=Path, default=DATA)
    arguments.add_argument("--cases", type=Path, default=DATA.parents[1] / "field-cases")
    arguments.add_argument("--parsers", default=",".join(PARSERS))
    arguments.add_argument("--formats", default=",".join(FORMATS))
    args = arguments.parse_args()
    files = [path for path in sorted(args.folder.rglob("*")) if "malformed" not in path.parts]
    for name in args.parsers.split(","):
        try:
            parse, formats = PARSERS[name]()
        except ImportError as err:
            print(json.dumps({"parser": name, "not installed": str(err)}))
            continue
        cases = checks_passed(parse, tuple(set(formats) & set(args.formats.split(","))), args.cases)
        for ending in (one for one in formats if one in args.formats.split(",")):
            chosen = [path for path in files if path.suffix.lower() == ending]
            texts = {str(path): parsed(parse, path) for path in chosen}
            rows = coverage(chosen, {name: texts})
            total = sum(row["characters"] for row in rows)
            found = {
                "parser": name, "format": ending, "files": len(chosen), "refused": sum(not text for text in texts.values()),
                "characters": total,
                "read": sum(row.get(name, 0) for row in rows), **cases.get(ending, {}),
                "seconds a megabyte": round(seconds_a_megabyte(parse, chosen), 3),
            }  # fmt: skip  # a table
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
