"""Whether an answer can be given: signals with known values, and the verdict on a small index in both languages."""

import json
from dataclasses import replace
from math import log, log1p

import numpy as np
import pytest

from quarry.app.words import words
from quarry.indexer.build import index_documents
from quarry.indexer.errors import IndexMismatchError
from quarry.indexer.messages import Message
from quarry.indexer.records import Document
from quarry.retriever.answers.evidence import Grounds, calibration_of, weigh
from quarry.retriever.answers.refusals.calibration import NAME, Calibration, shipped
from quarry.retriever.answers.refusals.observed import observe
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.fakes import WordEmbedder

SUBJECTS = (
    "printers need toner and a clean drum",
    "gardens want water in the dry months",
    "trains leave the station at noon",
    "soup is cooked with salt and leeks",
    "violins are tuned before a concert",
    "ships carry grain over the ocean",
)
THEMES = (
    "打印机需要更换墨粉和硒鼓",
    "花园在旱季需要浇水",
    "列车中午从车站出发",
    "煮汤要放盐和大葱",
    "演出之前要给小提琴调音",
    "轮船运送粮食过海",
)
DOCUMENTS = [
    Document("loans.md", "Library books can be renewed twice on the web page, for thirty days each.", "Loans"),
    Document("借书.md", "图书可以在网上续借两次，每次三十天，逾期每天罚款五角。", "借书"),
    *(Document(f"d{n}.md", f"{SUBJECTS[n % 6]}, as page {n} of the handbook says.", f"Page {n}") for n in range(20)),
    *(Document(f"页{n}.md", f"{THEMES[n % 6]}，见手册第{n}页。", f"第{n}页") for n in range(20)),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("evidence") / "index"
    index_documents(root, DOCUMENTS, WordEmbedder(dim=256))
    return root


@pytest.fixture(scope="module")
def lexical(tmp_path_factory):
    root = tmp_path_factory.mktemp("evidence") / "lexical"
    index_documents(root, DOCUMENTS, None)
    return root


@pytest.fixture(scope="module")
def searcher(root):
    return Searcher.open(root, embedder=WordEmbedder(dim=256))


def weighed(searcher, question, embedder=WordEmbedder(dim=256)):
    return weigh(question, searcher.search(question, 10), searcher.index, embedder)


@pytest.mark.parametrize(
    ("known", "unknown"),
    [
        ("How often can library books be renewed?", "Which vaccine page protects against yellow fever?"),
        ("图书可以续借几次？", "谁发明了蒸汽机车？"),
    ],
)
def test_a_question_about_the_documents_is_stronger_than_another(searcher, lexical, known, unknown):
    good, bad = weighed(searcher, known), weighed(searcher, unknown)
    assert 0 <= bad.strength < good.strength <= 1
    assert (good.weak, bad.weak) == (False, True)
    assert str(good.basis).endswith("meaning and words")
    words = Searcher.open(lexical)
    good, bad = weighed(words, known, None), weighed(words, unknown, None)
    assert (good.weak, bad.weak) == (False, True)
    assert str(good.basis).endswith("words alone")


def test_without_the_dense_stage_words_are_weighed(searcher):
    question = "How often can library books be renewed?"
    answer = searcher.search(question, 10, SearchOptions(route="bm25"))
    assert str(weigh(question, answer, searcher.index, WordEmbedder(dim=256)).basis).endswith("words alone")


def test_nothing_found_is_weak(lexical):
    found = weighed(Searcher.open(lexical), "zzzz qqqq", None)
    assert (found.strength, found.weak) == (0.0, True)


def test_an_embedder_of_another_kind_is_refused(searcher):
    with pytest.raises(IndexMismatchError, match="was built with tests/words and this embedder differs"):
        weighed(searcher, "library books", WordEmbedder("2", dim=256))


def test_signals_have_the_values_that_a_count_by_hand_gives(searcher):
    question = "renewed quuxly"
    embedder, index = WordEmbedder(dim=256), searcher.index
    vector = embedder.embed_queries([question])[0]
    results = searcher.search(question, 10).results
    found = observe(question, results, index, vector)
    once, never = log(1 + (42 - 1 + 0.5) / 1.5), log(1 + 42.5 / 0.5)
    assert found.cover == pytest.approx(once / (once + never))
    assert found.cover == found.cover_all == found.known
    assert (found.size, found.terms, found.foreign, found.agree) == (pytest.approx(log(42)), log1p(2), 0.0, 1.0)
    # brute force: all other passages, which are fewer than the sample
    shown = {result.chunk_id for result in results}
    every = {n.chunk_id: n.similarity for n in index.vectors.search(vector[np.newaxis], 99)[0]}
    low, middle, high = np.quantile([s for name, s in every.items() if name not in shown], [0.16, 0.5, 0.84])
    best = sorted((every[name] for name in shown), reverse=True)
    assert found.closeness == pytest.approx((best[0] - middle) / ((high - low) / 2), rel=1e-4)
    assert found.lead == pytest.approx((best[0] - best[4]) / ((high - low) / 2), rel=1e-4)


def test_in_an_index_of_two_languages_a_passage_is_compared_with_those_in_its_own_language(tmp_path):
    english = [Document(f"e{n}.md", f"{SUBJECTS[n % 6]}, as page {n} of the handbook says.") for n in range(60)]
    chinese = [Document(f"c{n}.md", f"{THEMES[n % 6]}，见手册第{n}页。") for n in range(60)]
    loans = Document("loans.md", "Library books can be renewed twice on the web page, for thirty days each.")
    question, embedder = "how often can library books be renewed", WordEmbedder(dim=256)
    for name, documents in (("one", [loans, *english]), ("two", [loans, *english, *chinese])):
        index_documents(tmp_path / name, documents, embedder)
    one, two = (Searcher.open(tmp_path / name, embedder=embedder) for name in ("one", "two"))
    results, vector = one.search(question, 10).results, embedder.embed_queries([question])[0]
    alone, beside = (observe(question, results, searcher.index, vector) for searcher in (one, two))
    assert (beside.size, beside.closeness, beside.lead) == pytest.approx((alone.size, alone.closeness, alone.lead))
    assert beside.size == pytest.approx(log(61))


def test_a_question_in_the_other_language_is_told(searcher):
    results = searcher.search("library books web page", 10, SearchOptions(route="bm25")).results
    assert [observe(text, results, searcher.index, None).foreign for text in ("图书可以续借几次", "library books")] == [
        1,
        0,
    ]
    both = (searcher.search("图书", 1, SearchOptions(route="bm25")).results[0], *results)
    assert observe("图书可以续借几次", both, searcher.index, None).foreign == 0


def test_a_tiny_index_has_no_scale_of_cosines(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS[:8], WordEmbedder())
    searcher = Searcher.open(tmp_path / "index", embedder=WordEmbedder())
    assert str(weighed(searcher, "library books", WordEmbedder()).basis).endswith("words alone")


def test_an_index_of_its_own_calibration_uses_it_unless_it_is_of_another_embedder(tmp_path):
    root = tmp_path / "index"
    index_documents(root, DOCUMENTS, WordEmbedder(dim=256))
    searcher = Searcher.open(root, embedder=WordEmbedder(dim=256))
    assert calibration_of(searcher.index) == (replace(shipped(), tokens=None), "")  # of another embedder
    own = replace(
        shipped(),
        origin=Message.plain("own"),
        embedder="tests/words",
        fingerprint=WordEmbedder(dim=256).spec.fingerprint,
    )
    strict = replace(own, meaning=replace(own.meaning, answers=1.0))
    strict.save(root / NAME)
    found = weighed(searcher, "How often can library books be renewed?")
    assert (found.weak, found.threshold, str(found.basis)) == (True, 1.0, "own; meaning and words")
    replace(strict, fingerprint="0" * 16, embedder="some/other").save(root / NAME)
    found = weighed(searcher, "How often can library books be renewed?")
    assert not found.weak
    assert "made with some/other" in str(found.basis)
    assert "--calibrate" in str(found.basis)
    (root / NAME).write_text("{")
    assert "is not a calibration of evidence" in str(weighed(searcher, "library books").basis)


def test_the_verdict_is_said_in_both_languages():
    basis = Message.plain("b")
    weak, good = Grounds(0.1234, True, 0.4, basis), Grounds(0.9, False, 0.4, basis)
    assert words(weak.message(), "en") == "Not in your documents, it seems (strength of the evidence 0.12, below 0.40)."
    assert words(weak.message(), "zh") == "您的文档里似乎没有答案：证据不足（强度 0.12，低于 0.40）。"
    assert "support an answer" in words(good.message(), "en")
    assert "文档中有依据" in words(good.message(), "zh")


def test_what_is_shipped_is_whole_and_names_its_data():
    assert "judged sets" in str(shipped().origin)
    assert shipped().fingerprint == ""
    assert 0 < shipped().words.threshold < 1
    assert Calibration.of(json.loads(json.dumps({"format": 1, **_plain(shipped())}))) == shipped()


def _plain(calibration):
    from dataclasses import asdict

    return asdict(calibration)
