"""Makes the demo corpus out of XQuAD: `python -m quarry.demo_corpus.make FOLDER`, where FOLDER holds xquad-en and xquad-zh.

Every other article is taken in Chinese, the others in English, each as two documents: a fact stands in one language only,
and a question in the other language has to cross over. Needs reportlab, for the PDF files, at making time only.
"""

import csv
import io
import json
import re
import shutil
import sys
import zipfile
from html import escape
from pathlib import Path

from quarry.demo_corpus import documents_path, qrels_path, queries_path

ARTICLES = {
    "a1": ("Warsaw", "华沙"), "a2": ("Normans", "诺曼人"), "a3": ("Nikola Tesla", "尼古拉·特斯拉"),
    "a4": ("Computational complexity", "计算复杂性理论"), "a6": ("Martin Luther", "马丁·路德"),
    "a7": ("Southern California", "南加州"), "a9": ("Victoria, Australia", "澳大利亚维多利亚州"), "a10": ("Huguenots", "胡格诺派"),
    "a11": ("Steam engine", "蒸汽机"), "a12": ("Oxygen", "氧"), "a13": ("The 1973 oil crisis", "1973年石油危机"),
    "a14": ("Apollo program", "阿波罗计划"), "a15": ("European Union law", "欧盟法"), "a16": ("Amazon rainforest", "亚马逊雨林"),
    "a17": ("Comb jellies", "栉水母"), "a18": ("Fresno", "弗雷斯诺"), "a19": ("Packet switching", "分组交换"),
    "a20": ("Black Death", "黑死病"), "a21": ("Geology", "地质学"), "a22": ("Newcastle upon Tyne", "泰恩河畔纽卡斯尔"),
    "a23": ("Victoria and Albert Museum", "维多利亚和阿尔伯特博物馆"), "a25": ("Genghis Khan", "成吉思汗"),
    "a26": ("Pharmacy", "药学"), "a27": ("Immune system", "免疫系统"), "a29": ("Construction", "建筑业"),
    "a31": ("Harvard University", "哈佛大学"), "a32": ("Jacksonville", "杰克逊维尔"), "a35": ("University of Chicago", "芝加哥大学"),
    "a36": ("Yuan dynasty", "元朝"), "a38": ("IPCC", "政府间气候变化专门委员会"), "a39": ("Chloroplast", "叶绿体"),
    "a40": ("Prime number", "素数"), "a41": ("Rhine", "莱茵河"), "a47": ("Force", "力"),
}  # fmt: skip  # a table
FORMATS = ("md", "txt", "html", "docx", "pdf", "epub", "pptx", "xlsx", "csv", "jsonl", "json")
FIRST_PARAGRAPHS = 3  # of five; the other two make the second document


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tidy(text: str) -> str:
    """XQuAD's Chinese has spaces around the answers; they are no part of the language."""
    return re.sub(r"(?<=[\u4e00-\u9fff，。、；：（）]) +(?=[\u4e00-\u9fff，。、；：（）])", "", " ".join(text.split()))


def write(path: Path, title: str, paragraphs: list[str], language: str) -> None:
    """Write one document in the format that its name asks for."""
    kind = path.suffix[1:]
    if kind in ("docx", "pdf", "pptx", "xlsx", "epub"):
        {"docx": _docx, "pdf": _pdf, "pptx": _pptx, "xlsx": _xlsx, "epub": _epub}[kind](path, title, paragraphs)
        return
    body = "\n\n".join(paragraphs)
    if kind == "md":
        content = f"---\nlang: {language}\n---\n# {title}\n\n{body}\n"
    elif kind == "html":
        inner = "".join(f"<p>{escape(text)}</p>\n" for text in paragraphs)
        content = f"<!DOCTYPE html>\n<html lang={language!r}><head><meta charset='utf-8'><title>{escape(title)}</title></head>\n<body><h1>{escape(title)}</h1>\n{inner}</body></html>\n"
    elif kind == "csv":
        buffer = io.StringIO()
        csv.writer(buffer).writerows([("paragraph", "text"), *enumerate([title, *paragraphs])])
        content = buffer.getvalue()
    elif kind == "jsonl":
        content = (
            json.dumps({"id": "1", "title": title, "text": body, "metadata": {"lang": language}}, ensure_ascii=False)
            + "\n"
        )
    elif kind == "json":
        content = json.dumps({"title": title, "paragraphs": paragraphs}, ensure_ascii=False, indent=1) + "\n"
    else:
        content = f"{title}\n\n{body}\n"
    charset = {"氧 (1)": "gb18030", "素数 (1)": "utf-16"}.get(title, "utf-8") if kind == "txt" else "utf-8"
    path.write_bytes(content.encode(charset))


def _docx(path: Path, title: str, paragraphs: list[str]) -> None:
    from docx import Document

    document = Document()
    document.core_properties.title = title
    document.add_heading(title, level=1)
    for text in paragraphs:
        document.add_paragraph(text)
    document.save(str(path))


def _pptx(path: Path, title: str, paragraphs: list[str]) -> None:
    from pptx import Presentation

    deck = Presentation()
    deck.core_properties.title = title
    for text in paragraphs:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
    deck.save(str(path))


def _xlsx(path: Path, title: str, paragraphs: list[str]) -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = title[:30].replace("·", " ")
    for number, text in enumerate(paragraphs, start=1):
        book.active.append([number, text])
    book.save(path)


def _pdf(path: Path, title: str, paragraphs: list[str]) -> None:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    style = ParagraphStyle(
        "body",
        fontName="STSong-Light",
        fontSize=11,
        leading=16,
        spaceAfter=10,
        wordWrap="CJK" if not title.isascii() else None,
    )
    head = ParagraphStyle("head", parent=style, fontSize=16, leading=22)
    story = [Paragraph(escape(title), head), *(Paragraph(escape(text), style) for text in paragraphs)]
    SimpleDocTemplate(str(path), title=title, invariant=1).build(story)


def _epub(path: Path, title: str, paragraphs: list[str]) -> None:
    inner = "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
        '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        "book.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{escape(title)}</dc:title></metadata><manifest><item id="c" '
        'href="c.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c"/></spine></package>',
        "c.xhtml": f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>{escape(title)}</title></head><body><h1>{escape(title)}</h1>{inner}</body></html>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def main() -> None:
    source = Path(sys.argv[1])
    texts = {
        lang: {row["_id"]: row["text"] for row in rows(source / f"xquad-{lang}" / "corpus.jsonl")}
        for lang in ("en", "zh")
    }
    asked = {
        lang: {row["_id"]: row["text"] for row in rows(source / f"xquad-{lang}" / "queries.jsonl")}
        for lang in ("en", "zh")
    }
    judged = [
        line.split("\t")[:2] for line in (source / "xquad-en" / "qrels" / "test.tsv").read_text().splitlines()[1:]
    ]
    shutil.rmtree(documents_path(), ignore_errors=True)
    queries, qrels = [], ["query-id\tcorpus-id\tscore"]
    for number, (article, titles) in enumerate(ARTICLES.items()):
        lang, other = ("en", "zh") if number % 2 == 0 else ("zh", "en")
        title = titles[number % 2]
        for part, wanted in enumerate((range(FIRST_PARAGRAPHS), range(FIRST_PARAGRAPHS, 5)), start=1):
            ids = [f"{article}p{i}" for i in wanted if f"{article}p{i}" in texts[lang]]
            kind = FORMATS[(number + 3 * part) % len(FORMATS)]
            name = f"{lang}/{title.lower().replace(' ', '-').replace(',', '')}-{part}.{kind}"
            path = documents_path() / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, f"{title} ({part})", [tidy(texts[lang][i]) for i in ids], lang)
            candidates = [query_id for query_id, paragraph in judged if paragraph in ids]
            query_id = candidates[(7 * number + part) % len(candidates)]
            queries.append({"_id": f"{article}-{part}", "text": asked[lang if part == 1 else other][query_id]})
            qrels.append(f"{article}-{part}\tdocuments/{name}{'/1' if kind == 'jsonl' else ''}\t1")
    queries_path().write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in queries), encoding="utf-8")
    qrels_path().parent.mkdir(exist_ok=True)
    qrels_path().write_text("\n".join(qrels) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
