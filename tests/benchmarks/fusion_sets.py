"""The collections that the fusion is judged on, and harder copies of them, subsampled to what one core encodes in an hour.

A set keeps its judged documents and random others, never BM25's hits, which would favor one route. Texts are cut at 600 characters,
Chinese ones at 260. Sets of one origin form a family and are left out together when constants are chosen.
"""

import gzip
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
_HAN = re.compile("[\u4e00-\u9fff]")
_CUT = {"en": 600, "zh": 260}
Document = tuple[str, str, str]  # id, title, text


@dataclass(frozen=True)
class JudgedSet:
    """Passages, questions and judgments. `encoder` is `offline`, `minilm` or `random` (the offline model with random weights)."""

    name: str
    family: str
    documents: tuple[Document, ...]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    encoder: str = "offline"


@dataclass(frozen=True)
class Source:
    """A set in ../shared/data: corpus, questions (of another set when they are in another language), split and family."""

    corpus: str
    split: str
    family: str
    language: str = "en"
    queries: str = ""
    documents: int = 500
    asked: int = 200


SOURCES = {
    "cranfield-en": Source("cranfield-en", "test", "cranfield", documents=900, asked=300),
    "cisi-en": Source("cisi-en", "test", "cisi", documents=900, asked=300),
    "med-en": Source("med-en", "test", "med", documents=900, asked=300),
    "npl-en": Source("npl-en", "test", "npl", documents=2000, asked=300),
    "scifact-en": Source("scifact-en", "train", "scifact", documents=800, asked=300),
    "nq-qed-en": Source("nq-qed-en", "dev", "nq", documents=800, asked=300),
    "xquad-en": Source("xquad-en", "test", "xquad", documents=800, asked=300),
    "xquad-zh": Source("xquad-zh", "test", "xquad", "zh"),
    "xquad-zh2en": Source("xquad-en", "test", "xquad", queries="xquad-zh"),
    "xquad-en2zh": Source("xquad-zh", "test", "xquad", "zh", queries="xquad-en"),
    "winfaq-en": Source("winfaq-en", "test", "winfaq"),
    "codebase-en": Source("codebase-en", "test", "codebase"),
    "productdocs-en": Source("productdocs-en", "test", "productdocs"),
    "chunkspans-en": Source("chunkspans-en", "test", "chunkspans"),
    "cmrc2018-zh": Source("cmrc2018-zh", "test", "cmrc", "zh"),
    "cmrc2018sent-zh": Source("cmrc2018sent-zh", "test", "cmrc", "zh", documents=1500),
    "csl-zh": Source("csl-zh", "dev", "csl", "zh"),
    "sqlfaq-zh": Source("sqlfaq-zh", "test", "sqlfaq", "zh"),
    "writerhelp-zh2en": Source("writerhelp-zh2en", "test", "writerhelp"),
}
# name: training pairs, their source, family, language, documents, questions
PAIRS = {
    "poems-zh": ("train-pairs-zh", "poetry", "poems", "zh", 600, 300),
    "regs-zh": ("train-pairs-zh", "regulations", "regs", "zh", 152, 152),
    "wordnet-en": ("train-pairs-en", "wordnet", "wordnet", "en", 420, 300),
    "medquad-en": ("train-pairs-en", "medquad", "medquad", "en", 199, 199),
    "win32-en": ("train-pairs-en", "win32", "winfaq", "en", 700, 300),
}
HALF_TITLES = (
    "cranfield-en cisi-en scifact-en nq-qed-en winfaq-en productdocs-en cmrc2018-zh sqlfaq-zh med-en xquad-en csl-zh "
    "writerhelp-zh2en codebase-en"
)
UPPER = "cranfield-en scifact-en nq-qed-en winfaq-en xquad-en med-en writerhelp-zh2en"
MINILM = (
    "cmrc2018-zh sqlfaq-zh xquad-zh csl-zh cmrc2018sent-zh xquad-zh2en xquad-en2zh cranfield-en scifact-en nq-qed-en xquad-en "
    "winfaq-en codebase-en medquad-en"
)
RANDOM = "cranfield-en nq-qed-en xquad-en sqlfaq-zh cmrc2018-zh winfaq-en"


_MAILED = {
    "en": (
        "dear team, sorry to bother you with this, my colleague told me that you might know: {} any pointers would be much appreciated, "
        "kind regards",
        "hi there! quick one. been trying to figure this out all afternoon and could really use a hand here. {} cheers everyone",
    ),
    "zh": (
        "各位老师好，抱歉打扰大家，我是新来的同事，有件事想请教一下：{} 如果有人了解的话麻烦回复我，感激不尽",
        "在吗？有个事儿想麻烦你一下，我查了半天也没查明白，{} 求解答，多谢啦",
    ),
}


def hashed(text: str) -> str:
    """Return a digest to draw by: the same sample at every run."""
    return sha256(text.encode()).hexdigest()


def all_sets() -> Iterator[JudgedSet]:
    """Yield the collections, then their harder copies."""
    base = {name: judged_set(name, source) for name, source in SOURCES.items()}
    base |= {name: _pairs(name, *row) for name, row in PAIRS.items()}
    small = {name: judged_set(name, replace(source, documents=300, asked=120)) for name, source in SOURCES.items()}
    small |= {name: base[name] for name in PAIRS}
    yield from base.values()
    yield from (replace(small[name], name=f"{name}, random weights", encoder="random") for name in RANDOM.split())
    yield from (replace(small[name], name=f"{name}, MiniLM", encoder="minilm") for name in MINILM.split())
    yield from (_half_titles(base[name]) for name in HALF_TITLES.split())
    yield from _upper_case(small)
    yield from (
        _rewritten(small[name], _without_spaces, "documents without spaces") for name in ("xquad-en", "scifact-en")
    )
    traditional = _traditional()
    if traditional:
        names = ("cmrc2018-zh", "sqlfaq-zh", "xquad-zh")
        yield from (_rewritten(small[name], traditional, "traditional documents") for name in names)
    for name, one in base.items():
        yield from _harder_questions(replace(one, queries=_few(one.queries, 100)), name, traditional)


def _upper_case(small: dict[str, JudgedSet]) -> Iterator[JudgedSet]:
    for name in UPPER.split():
        upper = _rewritten(small[name], str.upper, "upper case")
        yield replace(upper, queries={key: text.upper() for key, text in upper.queries.items()})
        if name in ("cranfield-en", "med-en"):
            spoken = {key: _spoken(text).upper() for key, text in upper.queries.items()}
            yield replace(upper, name=f"{name}, upper case, spoken", queries=spoken)
            yield replace(_half_titles(upper), name=f"{name}, upper case, half titles")


def _harder_questions(one: JudgedSet, name: str, traditional: Callable[[str], str] | None) -> Iterator[JudgedSet]:
    yield _asked(one, _spoken, "spoken questions")
    yield _asked(one, _mailed, "mailed questions")
    yield _asked(one, _mistyped, "mistyped questions")
    if not name.endswith("-zh"):
        yield _asked(one, str.upper, "upper-case questions")
        if name not in ("npl-en", "cisi-en"):
            yield _asked(one, _without_spaces, "questions without spaces")
    if traditional and (name.endswith("-zh") or name in ("writerhelp-zh2en", "xquad-zh2en")):
        yield _asked(one, traditional, "traditional questions")


def _rows(path: Path) -> list[dict[str, str]]:
    opened = path.open(encoding="utf-8") if path.is_file() else gzip.open(f"{path}.gz", "rt", encoding="utf-8")
    with opened as handle:
        return [json.loads(line) for line in handle]


def judged_set(name: str, source: Source) -> JudgedSet:
    qrels: dict[str, dict[str, int]] = {}
    for line in (DATA / source.corpus / "qrels" / f"{source.split}.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query_id, doc_id, grade = line.split("\t")
        if int(grade) > 0:
            qrels.setdefault(query_id, {})[doc_id] = int(grade)
    qrels = {query_id: qrels[query_id] for query_id in sorted(qrels, key=hashed)[: source.asked]}
    texts = {row["_id"]: row["text"] for row in _rows(DATA / (source.queries or source.corpus) / "queries.jsonl")}
    rows = _rows(DATA / source.corpus / "corpus.jsonl")
    judged = {doc_id for grades in qrels.values() for doc_id in grades}
    others = sorted((row for row in rows if row["_id"] not in judged), key=lambda row: hashed(row["_id"]))
    kept = [row for row in rows if row["_id"] in judged] + others[: max(0, source.documents - len(judged))]
    cut = _CUT[source.language]
    documents = tuple((row["_id"], (row.get("title") or "")[:200], row["text"][:cut]) for row in kept)
    return JudgedSet(name, source.family, documents, {query_id: texts[query_id] for query_id in qrels}, qrels)


def _pairs(name: str, folder: str, source: str, family: str, language: str, documents: int, asked: int) -> JudgedSet:
    rows = [row for row in _rows(DATA / folder / "dev.jsonl") if source in row["source"]]
    rows = sorted(rows, key=lambda row: hashed(row["query"] + row["pos"][0]))[:documents]
    kept = tuple((f"d{n}", "", row["pos"][0][: _CUT[language]]) for n, row in enumerate(rows))
    queries = {f"q{n}": row["query"] for n, row in enumerate(rows[:asked])}
    return JudgedSet(name, family, kept, queries, {f"q{n}": {f"d{n}": 1} for n in range(len(queries))})


def _few(queries: dict[str, str], count: int) -> dict[str, str]:
    return dict(sorted(queries.items(), key=lambda pair: hashed(pair[0]))[:count])


def _asked(one: JudgedSet, change: Callable[[str], str], how: str) -> JudgedSet:
    return replace(one, name=f"{one.name}, {how}", queries={key: change(text) for key, text in one.queries.items()})


def _rewritten(one: JudgedSet, change: Callable[[str], str], how: str) -> JudgedSet:
    documents = tuple((key, change(title), change(text)) for key, title, text in one.documents)
    return replace(one, name=f"{one.name}, {how}", documents=documents)


def _half_titles(one: JudgedSet) -> JudgedSet:
    """Cut every other document to its title, or to forty characters when it has none."""

    def cut(document: Document) -> Document:
        key, title, text = document
        if int(hashed(key)[:8], 16) % 2:
            return document
        return (key, title, "") if title else (key, "", text[:40])

    return replace(one, name=f"{one.name}, half titles", documents=tuple(cut(document) for document in one.documents))


def _without_spaces(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _spoken(question: str) -> str:
    if _HAN.search(question):
        return f"你好，我想请问一下，不知道你能不能帮我看看，{question} 这个问题我一直没有找到答案，谢谢你了"
    return (
        "hello, i was wondering if you could possibly help me out with something that has been on my mind, basically what i "
        f"would like to know is the following: {question} thanks a lot in advance for any help"
    )


def _mailed(question: str) -> str:
    """Put a question into one of two frames, which nothing was chosen by: the words of `small_talk` were written before them."""
    frames = _MAILED["zh" if _HAN.search(question) else "en"]
    return frames[int(hashed(question)[:8], 16) % len(frames)].format(question)


def _mistyped(text: str) -> str:
    """Swap, drop or replace a letter in a third of the longer words, or in a tenth of Chinese characters."""
    rng = random.Random(hashed(text))
    if _HAN.search(text):
        return _mistyped_chinese(list(text), rng)
    return " ".join(_mistyped_word(word, rng) for word in text.split(" "))


def _mistyped_word(word: str, rng: random.Random) -> str:
    if len(word) <= 3 or rng.random() >= 0.35:
        return word
    at, kind = rng.randrange(1, len(word) - 1), rng.random()
    if kind < 0.35:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind < 0.7:
        return word[:at] + word[at + 1 :]
    return word[:at] + rng.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1 :]


def _mistyped_chinese(characters: list[str], rng: random.Random) -> str:
    for _ in range(max(1, len(characters) // 10)):
        at = rng.randrange(len(characters) - 1) if len(characters) > 2 else 0
        if rng.random() < 0.5 and len(characters) > 3:
            del characters[at]
        else:
            other = min(at + 1, len(characters) - 1)
            characters[at], characters[other] = characters[other], characters[at]
    return "".join(characters)


def _traditional() -> Callable[[str], str] | None:
    """Return a converter from simplified to traditional characters; None without the package opencc."""
    try:
        import opencc
    except ImportError:
        return None
    convert: Callable[[str], str] = opencc.OpenCC("s2t").convert
    return convert
