"""The words of the answer panel: escaped, marked, in both languages."""

from types import SimpleNamespace

from quarry.app.ui.search.answer_presenter import excerpt_html, heading_text, notes_html, sentences_html, source_label
from quarry.indexer.messages import Message
from quarry.retriever.answers.citations import Sentence
from quarry.retriever.answers.evidence import Grounds
from quarry.retriever.answers.packing import Packed

EVIL = "<img src=x onerror=alert(1)>"


def answer(origin, *, weak=False, model=""):
    return SimpleNamespace(
        origin=origin,
        refused=origin == "refused",
        model=model,
        language="en",
        evidence=Grounds(0.1 if weak else 0.9, weak, 0.4, "b"),
    )


def test_sentences_carry_numbers_and_what_is_not_carried_is_marked():
    sentences = [
        Sentence("Renew twice.", (1, 3), "supported"),
        Sentence("It costs 5 euros.", (2,), "unsupported", missing=("5",), gap=" "),
    ]
    shown = sentences_html(sentences, "en", listed=False)
    assert "Renew twice.</span>" not in shown.split("[1]")[0].replace("<span>Renew twice.", "")
    assert "Renew twice.<span class='q-cite'>[1]</span><span class='q-cite'>[3]</span>" in shown
    assert "<span class='q-unsure'>It costs 5 euros.</span><span class='q-cite'>[2]</span>" in shown
    assert "not in the source: 5" in shown
    assert "出处中没有：5" in sentences_html(sentences, "zh", listed=False)
    assert sentences_html(sentences, "en", listed=True).count("<div>") == 2


def test_what_documents_and_models_wrote_is_inert():
    evil = Sentence(EVIL, (1,), "unsupported", missing=(EVIL,))
    source = Packed(1, "d", EVIL, EVIL, EVIL + "x" * 400, (), 1.0)
    for shown in (
        sentences_html([evil], "en", listed=True),
        notes_html([Message.plain(EVIL)], lambda english, _: english),
        excerpt_html(source, [(0, 4)]),
    ):
        assert "<img" not in shown
        assert "&lt;img" in shown.replace("<mark>", "").replace("</mark>", "")
    assert "\\<" in source_label(source, lambda english, _: english)
    assert excerpt_html(source, []).endswith(" …</div></div>")


def test_a_source_names_its_page():
    source = Packed(2, "d", "Loans", "loans.pdf", "text", (), 1.0, page=3)
    assert source_label(source, lambda english, _: english) == "2 · Loans, page 3"
    assert source_label(source, lambda _, chinese: chinese) == "2 · Loans，第 3 页"


def test_the_line_above_an_answer_says_what_it_is():
    assert heading_text(answer("generated"), "en") == ""
    assert heading_text(answer("extractive"), "en") == "Quoted from your documents"
    assert heading_text(answer("extractive"), "zh") == "摘自您的文档"
    assert "Not in your documents" in heading_text(answer("refused", weak=True), "en")
    assert "您的文档里似乎没有答案" in heading_text(answer("refused", weak=True), "zh")
    assert heading_text(answer("refused", model="m"), "zh") == "模型在这些段落中没有找到答案。"
