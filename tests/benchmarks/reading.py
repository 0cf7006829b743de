"""What comes out of real files, part by part, and how fast: `python -m tests.benchmarks.reading [FOLDER] [--before CHECKOUT]`.

Figures in docs/results/reading.md. FOLDER is the data set `ingest-docs` by default. The characters of each part (body, footnotes, headers,
comments, charts ... of Word; cells and comments of Excel; page text, form values and comments of PDF; text, titles and descriptions of HTML)
are taken from the files' own XML or by PDFium and an HTML parser; a paragraph counts as read when it stands in the text, white space
aside. Menus (`nav`, `role=navigation`) are left out on purpose. Speed is reading five times and cutting for BM25, without encoding, in
processor seconds, the best of three runs of each format. CHECKOUT is an older version of this
repository: both are run alternately, and the ratio is of that one run.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import unicodedata
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

from lxml import etree

HERE = Path(__file__).resolve().parents[2]
DATA = HERE.parent / "shared" / "data" / "ingest-docs"
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
WORD_PARTS = {
    "body": r"word/document\.xml", "footnotes": r"word/footnotes\.xml", "endnotes": r"word/endnotes\.xml",
    "comments": r"word/comments\.xml", "headers": r"word/header\d*\.xml", "footers": r"word/footer\d*\.xml",
    "charts": r"word/charts/chart\d+\.xml",
}  # fmt: skip  # a table
CHILD = """
import json, sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

def spent():  # processor time, of the parser process too, which has ended by then: other work on the machine does not count
    return sum(use.ru_utime + use.ru_stime for use in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))

try:  # before the packages had one name
    from indexer.corpus import ReadFile, read_corpus
    from indexer.analyzer import analyzer
    from indexer.chunking import ChunkSpec
    from indexer.cutter import Cutter
    from indexer.script_tokens import ScriptTokens

    def cut_into_terms(document, spec, tokens, words):
        return Cutter(spec, tokens, words).cut(document)
except ImportError:
    from quarry.indexer.corpus.walk import ReadFile, read_corpus
    from quarry.indexer.build.cutting.chunking import ChunkSpec, cut_into_terms
    from quarry.indexer.lexical.analyzer import analyzer
    from quarry.indexer.models.token_spans import ScriptTokens
tokens, words, times, texts = ScriptTokens(), analyzer("jieba"), {}, {}
words.tokens("预热 warm")
files = [Path(line) for line in sys.stdin.read().splitlines()]
for ending in sorted({path.suffix.lower() for path in files}):
    chosen = {f"{number} {copy}": path for number, path in enumerate(files) for copy in range(5) if path.suffix.lower() == ending}
    for _ in range(2):  # the first time loads libraries
        began = spent()
        for event in read_corpus(chosen):
            if isinstance(event, ReadFile):
                for document in event.documents:
                    cut_into_terms(document, ChunkSpec(), tokens, words)
                texts[str(chosen[event.file.root])] = "\\n".join(document.title + "\\n" + document.text for document in event.documents)
        times[ending] = spent() - began
print(json.dumps({"times": times, "texts": texts}))
"""


def run(checkout, files):
    """Read all files with the code of a checkout; return its texts by path and its seconds by ending."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    listed = "\n".join(map(str, files))
    command = [sys.executable, "-P", "-c", CHILD]
    done = subprocess.run(command, input=listed, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def plain(text):
    """Without what nobody sees, in one form, as both sides may differ in it."""
    text = unicodedata.normalize("NFKC", text)
    return re.sub(r"[\s\u00ad\u200b-\u200f\ufeff|$>#-]+", "", text)


def word_parts(path):
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            part = next((part for part, pattern in WORD_PARTS.items() if re.fullmatch(pattern, name)), None)
            if part is None:
                continue
            root = etree.fromstring(archive.read(name))
            if part == "charts":
                for node in root.iter(f"{A}t", f"{C}v"):
                    yield part, node.text or ""
                continue
            for node in root.iter(f"{W}p"):
                if not any(one.tag in (f"{W}del", f"{W}moveFrom") for one in node.iterancestors()):
                    yield part, "".join(one.text or "" for one in _own(node))


def _own(paragraph):
    """The runs of a paragraph, without those of text boxes inside of it, and without deleted ones and readings."""
    for node in paragraph.iter(f"{W}t"):
        above = list(node.iterancestors())
        nearest = next(one for one in above if one.tag == f"{W}p")
        if nearest is paragraph and not any(
            one.tag in (f"{W}rt", f"{W}del") or one.tag.endswith("Fallback") for one in above
        ):
            yield node


def excel_parts(path):
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name == "xl/sharedStrings.xml":
                for node in etree.fromstring(archive.read(name)).iter("{*}si"):
                    yield "cells", "".join(one.text or "" for one in node.iter("{*}t"))
            elif re.fullmatch(r"xl/(comments/)?comments?\d*\.xml", name):
                for node in etree.fromstring(archive.read(name)).iter("{*}comment"):
                    yield "comments", "".join(one.text or "" for one in node.iter("{*}t"))
            elif re.fullmatch(r"xl/(charts/chart|drawings/drawing)\d+\.xml", name):
                for node in etree.fromstring(archive.read(name)).iter(f"{A}t"):
                    yield "charts and drawings", node.text or ""


def pdf_parts(path):
    import pypdfium2 as pdfium
    from pypdfium2 import raw

    from quarry.indexer.readers.pdf import _wide

    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError:
        return
    for page in document:
        for word in page.get_textpage().get_text_range().split():
            if "\ufffe" not in word and "\x02" not in word:
                yield "words of pages", word
        for number in range(raw.FPDFPage_GetAnnotCount(page.raw)):
            annotation = raw.FPDFPage_GetAnnot(page.raw, number)
            kind = raw.FPDFAnnot_GetSubtype(annotation)
            if kind == raw.FPDF_ANNOT_WIDGET:
                value = _wide(raw.FPDFAnnot_GetStringValue, annotation, b"V")
                yield "form values", "" if value == "Off" else value
            elif kind != raw.FPDF_ANNOT_POPUP:
                yield "comments", _wide(raw.FPDFAnnot_GetStringValue, annotation, b"Contents")


def html_parts(path):
    from selectolax.lexbor import LexborHTMLParser

    from quarry.indexer.readers.charset import declared_charset, decode

    content = path.read_bytes()
    tree = LexborHTMLParser(decode(content, declared_charset(content)).text)
    yield "title", tree.css_first("title").text() if tree.css_first("title") else ""
    for node in tree.css("img[alt]"):
        yield "descriptions of pictures", node.attributes.get("alt") or ""
    for node in tree.css("script,style,noscript,template,nav,title,head,[role=navigation],[role=search],[hidden]"):
        node.decompose()
    for node in tree.css("button,option,textarea"):
        yield "buttons and choices", node.text()
    for node in tree.css("h1,h2,h3,h4,p,li,td,th,dt,dd,figcaption"):
        if not node.css("p,li,td,ul,table,button"):
            yield "headings" if node.tag.startswith("h") else "text", node.text()


PARTS = {".docx": word_parts, ".xlsx": excel_parts, ".pdf": pdf_parts, ".html": html_parts}


def coverage(files, texts):
    """Rows of format, part, characters in the files, and those that were read by each run."""
    total, read = Counter(), defaultdict(Counter)
    for path in files:
        parts = PARTS.get(path.suffix.lower())
        if parts is None or (not zipfile.is_zipfile(path) and path.suffix.lower() in (".docx", ".xlsx")):
            continue
        found = {name: plain(by_path.get(str(path), "")) for name, by_path in texts.items()}
        for part, text in parts(path):
            wanted = plain(text)
            total[path.suffix, part] += len(wanted)
            for name, whole in found.items():
                read[path.suffix, part][name] += len(wanted) if wanted in whole else 0
    return [{"format": key[0], "part": key[1], "characters": total[key], **read[key]} for key in total if total[key]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DATA)
    parser.add_argument("--before", type=Path)
    args = parser.parse_args()
    files = sorted(path for path in args.folder.rglob("*") if path.is_file() and "malformed" not in path.parts)
    checkouts = {"before": args.before} if args.before else {}
    checkouts["now"] = HERE
    texts, times = {}, {name: defaultdict(list) for name in checkouts}
    for _ in range(3):
        for name, checkout in checkouts.items():
            result = run(checkout, files)
            texts[name] = result["texts"]
            for ending, seconds in result["times"].items():
                times[name][ending].append(seconds)
    for row in coverage(files, texts):
        print(json.dumps(row, ensure_ascii=False))
    for ending, seconds in times["now"].items():
        row = {
            "format": ending,
            "files": sum(path.suffix.lower() == ending for path in files),
            "processor seconds": round(min(seconds), 3),
        }
        if args.before:
            row["ratio to before"] = round(min(seconds) / min(times["before"][ending]), 2)
        print(json.dumps(row))


if __name__ == "__main__":
    main()
