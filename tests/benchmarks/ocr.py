"""Text recognition of scans: `python -m tests.benchmarks.ocr [--pages N]`; figures in docs/results/reading.md.

Pages of the demo corpus are drawn at 200 and 100 dots an inch, with noise, and turned by half a degree. Each engine that is installed reads
them; the error is the edit distance without white space, divided by the number of characters. RapidOCR comes with the extra `ocr`;
Tesseract is run as a program with the languages that it has.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from quarry.indexer.readers.base import Unreadable
from quarry.indexer.readers.charset import decode

DEMO = Path(__file__).parents[2] / "demo_corpus"
FONTS = {"en": ("DejaVuSans.ttf",), "zh": ("wqy-zenhei.ttc", "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc")}
CHARACTERS = {"en": 1500, "zh": 700}


def font(language, size):
    for name in FONTS[language]:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    raise SystemExit(
        f"no font for {language}; expected one of {FONTS[language]}. Install fonts-wqy-zenhei and fonts-dejavu"
    )


def texts(language, count):
    """Paragraphs of the demo corpus, cut to what fits on a page."""
    found = []
    for path in sorted(DEMO.rglob("*")):
        if path.suffix in (".txt", ".md") and (language == "zh") == ("zh" in path.as_posix().split("/demo_corpus/")[1]):
            text = " ".join(decode(path.read_bytes()).text.replace("#", "").split())
            if len(text) >= CHARACTERS[language]:
                found.append(text[: CHARACTERS[language]])
        if len(found) == count:
            break
    return found


def page(text, language, dots, seed):
    """An A4 page of 11 point type as a scanner gives it."""
    width, height, size = int(8.27 * dots), int(11.69 * dots), int(11 * dots / 72)
    sheet = Image.new("L", (width, height), 255)
    draw, type_ = ImageDraw.Draw(sheet), font(language, size)
    x, y, line, right = width // 10, height // 12, "", width - width // 10
    for piece in text if language == "zh" else [f"{word} " for word in text.split(" ")]:
        if draw.textlength(line + piece, type_) > right - x:
            draw.text((x, y), line, 0, type_)
            line, y = "", y + int(1.5 * size)
        line += piece
    draw.text((x, y), line, 0, type_)
    turned = sheet.rotate(0.5, fillcolor=255, resample=Image.Resampling.BICUBIC)
    noise = np.random.default_rng(seed).normal(0, 18, (height, width))
    return np.clip(np.asarray(turned, dtype=np.float64) + noise, 0, 255).astype(np.uint8)


def plain(text):
    return "".join(unicodedata.normalize("NFKC", text).split())


def distance(one, other):
    """Levenshtein, a row at a time."""
    other_codes = np.array([ord(c) for c in other])
    row = np.arange(len(other) + 1)
    for number, character in enumerate(one, start=1):
        change = row[:-1] + (other_codes != ord(character))
        best = np.concatenate([[number], np.minimum(change, row[1:] + 1)])
        row = np.minimum.accumulate(best - np.arange(len(best))) + np.arange(len(best))
    return int(row[-1])


def rapidocr():
    from quarry.indexer.readers.pdf.ocr import Recognizer

    recognizer = Recognizer()
    return lambda pixels, _language: recognizer.picture_text(np.repeat(pixels[:, :, None], 3, axis=2))


def tesseract():
    program = shutil.which("tesseract")
    if program is None:
        raise ImportError("no program tesseract")
    listed = subprocess.run([program, "--list-langs"], capture_output=True, text=True, check=True).stdout.split()

    def read(pixels, language):
        wanted = {"en": "eng", "zh": "chi_sim"}[language]
        if wanted not in listed:
            return None
        with tempfile.TemporaryDirectory() as folder:
            Image.fromarray(pixels).save(Path(folder) / "page.png")
            command = [program, str(Path(folder) / "page.png"), "stdout", "-l", wanted]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return read


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=5)
    pages = parser.parse_args().pages
    for name, start in {"rapidocr": rapidocr, "tesseract": tesseract}.items():
        try:
            engine = start()
        except (ImportError, OSError, Unreadable) as err:
            print(json.dumps({"engine": name, "missing": str(err)}))
            continue
        for language in ("en", "zh"):
            for dots in (200, 100):
                wrong = total = 0
                seconds = 0.0
                for seed, text in enumerate(texts(language, pages)):
                    pixels = page(text, language, dots, seed)
                    began = time.perf_counter()
                    read = engine(pixels, language)
                    seconds += time.perf_counter() - began
                    if read is None:
                        break
                    wrong += distance(plain(text), plain(read))
                    total += len(plain(text))
                row = {"engine": name, "language": language, "dots": dots}
                if total:
                    row |= {
                        "error": round(wrong / total, 4),
                        "characters": total,
                        "seconds a page": round(seconds / pages, 2),
                    }
                else:
                    row["missing"] = "no data for this language"
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
