"""Sentences chosen without a language model, on passages of which every sentence is known."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarry.indexer.lexical.analyzer import analyzer
from quarry.retriever.answers.extract import SENTENCES, extract, units
from quarry.retriever.answers.packing import Packed
from tests.fakes import WordEmbedder

WORDS = analyzer("bigram")


def packed(number, text, title=""):
    return Packed(number, f"d{number}", title or f"d{number}", f"d{number}.md", text, (), 1.0 / number, end=len(text))


LOANS = packed(
    1, "The hall has nine tables. Books can be renewed twice on the web page. Fines are fifty cents for each day."
)
HOURS = packed(2, "We open the doors at nine. The library closes at eight in the evening.")
ZH = packed(3, "大厅里有九张桌子供读者使用。图书可以在网上续借两次，每次三十天。逾期每天罚款五角。")


def pieces(text):
    return [text[a:b] for a, b in units(text)]


@pytest.mark.parametrize("embedder", [None, WordEmbedder(dim=256)])
def test_the_best_sentences_come_first_with_exact_ranges(embedder):
    found = extract(
        "How often can books be renewed, and what fines are there?", [LOANS, HOURS], WORDS, embedder, most=2
    )
    assert (found[0].text, found[0].number) == ("Books can be renewed twice on the web page.", 1)
    assert len(found) == (2 if embedder is None else 1), "by meaning the second one is too far behind"
    for one in found:
        assert {1: LOANS, 2: HOURS}[one.number].text[one.start : one.end] == one.text
    assert found[0].score > found[-1].score or len(found) == 1


def test_a_sentence_that_shares_a_word_and_is_far_behind_the_best_is_not_quoted():
    question = "How often is the drain valve of the pump opened?"
    answer, filler = (
        "The drain valve of the pump is opened twice a year.",
        "An engineer sold the pump to a museum in the north.",
    )
    also = "How often the drain valve of the pump is opened depends on frost."
    passages = [packed(1, f"{answer} {also}"), packed(2, filler)]
    found = extract(question, passages, WORDS, WordEmbedder(dim=256))
    assert {one.text for one in found} == {answer, also}
    assert filler in [one.text for one in extract(question, passages, WORDS, None)]


def test_chinese_sentences_and_a_later_passage_can_win():
    (found,) = extract("图书可以续借几次？", [LOANS, HOURS, ZH], WORDS, None, most=1)
    assert (found.number, found.text) == (3, "图书可以在网上续借两次，每次三十天。")


def test_a_best_passage_in_the_other_language_is_quoted_and_not_what_shares_words_with_the_question():
    english = packed(1, "The town hall has a car park. Parking costs two pounds an hour, and nothing after six.")
    chinese = packed(2, "市政厅位于市中心。市政厅的停车费是多少由市议会决定，停车场在河边。")
    question = "市政厅的停车费是多少？"
    assert {one.number for one in extract(question, [english, chinese], WORDS, WordEmbedder(dim=256))} == {1}
    assert extract(question, [chinese, english], WORDS, WordEmbedder(dim=256))[0].number == 2
    assert extract("How much is parking at the town hall?", [english, chinese], WORDS, WordEmbedder(dim=256))


def test_what_a_better_sentence_says_already_is_left_out():
    twin = packed(2, "Books can be renewed twice on the web page! Ask the staff at the desk about other things.")
    found = extract("How often can books be renewed?", [LOANS, twin], WORDS, None)
    assert sum("renewed twice" in one.text for one in found) == 1
    longer = packed(
        2, "Books can be renewed twice on the web page, and a third time by telephone or at the front desk."
    )
    assert any("telephone" in one.text for one in extract("books renewed", [LOANS, longer], WORDS, None))


@pytest.mark.parametrize("embedder", [None, WordEmbedder(dim=256)])
def test_an_answer_is_not_filled_up_with_what_has_nothing_to_do_with_the_question(embedder):
    notes = packed(1, "The phone of Zhang San is 555 0199. Pears are ripe in autumn. A drawer holds nine spoons.")
    assert [one.text for one in extract("phone of Zhang San", [notes], WORDS, embedder)] == [
        "The phone of Zhang San is 555 0199."
    ]
    zh = packed(1, "张三的电话是五五五零一九九。秋天的梨熟了。抽屉里放着勺子。")
    assert [one.text for one in extract("张三的电话", [zh], WORDS, embedder)] == ["张三的电话是五五五零一九九。"]
    (only,) = extract("quasar", [notes], WORDS, None)
    assert only.text.startswith("The phone"), "the best there is, though it has no word of the question"


def test_nothing_to_read_gives_nothing_and_a_wrong_number_is_refused():
    assert extract("books", [], WORDS, None) == ()
    assert extract("books", [packed(1, "  \n ")], WORDS, WordEmbedder()) == ()
    with pytest.raises(ValueError, match="most is 0; expected at least 1 sentence"):
        extract("books", [LOANS], WORDS, None, most=0)


def test_the_number_of_encoded_sentences_is_bounded():
    embedder = WordEmbedder()
    text = " ".join(f"Sentence number {n} speaks about quite another thing." for n in range(200))
    extract("number 7", [packed(1, text)], WORDS, embedder)
    assert embedder.texts_encoded == SENTENCES


def test_a_heading_takes_the_sentence_below_and_a_question_its_answer():
    assert pieces("# Loans\nBooks may be kept for thirty days. Renewing is possible on the web page.") == [
        "# Loans\nBooks may be kept for thirty days.",
        "Renewing is possible on the web page.",
    ]
    assert pieces("怎么续借图书？\n打开系统之后点击续借按钮即可。最多可以续借两次，每次三十天。")[0] == (
        "怎么续借图书？\n打开系统之后点击续借按钮即可。"
    )
    assert pieces("Some words stand here in the first sentence.\n\n## Further reading") == [
        "Some words stand here in the first sentence."
    ]


def test_a_short_sentence_takes_its_neighbour_of_the_same_paragraph():
    assert pieces("Anybody can do it at home. Yes. It needs a telephone and ten minutes.")[0].endswith("Yes.")
    assert pieces("Read the whole manual before you begin.\n\nStop here.") == [
        "Read the whole manual before you begin.",
        "Stop here.",
    ]


def test_code_stays_with_what_introduces_it_and_tables_stay_together():
    text = "Install the program with its package manager:\n\n```bash\npip install it\nit --version\n```\nAfterwards open the page in a browser window."
    assert pieces(text) == [text[: text.index("\nAfterwards")], "Afterwards open the page in a browser window."]
    table = "| day | hours |\n|---|---|\n| Monday | 9 to 20 |\n| Sunday | closed |"
    assert pieces(f"The table shows when the library is open.\n\n{table}") == [
        "The table shows when the library is open.",
        table,
    ]
    assert pieces("First comes a sentence of some length here.\n\n-----\n\nThen comes another one of the same.") == [
        "First comes a sentence of some length here.",
        "Then comes another one of the same.",
    ]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab .?!。？\n#|`:-续借", max_size=120))
def test_units_are_ordered_disjoint_and_without_space_at_their_edges(text):
    last = 0
    for start, end in units(text):
        assert last <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        last = end
