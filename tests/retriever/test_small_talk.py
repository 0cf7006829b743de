"""Courtesies around a question are left out, and nothing else is."""

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.retriever.questions.small_talk import without_small_talk
from quarry.retriever.questions.understood import Understood, understand
from quarry.retriever.searcher import Searcher
from tests.fakes import WordEmbedder

LONG = (
    "hello, i was wondering if you could possibly help me out, basically what i would like to know is: {} thanks a lot in advance",
    "Dear all, sorry to bother you, I hope you can help me, my question is the following: {} I would really appreciate any answer.",
    "您好，不好意思打扰大家了，我想请问一下你们能不能帮我看看：{} 非常感谢您的帮助，谢谢大家",
)


@pytest.mark.parametrize("frame", LONG)
@pytest.mark.parametrize(
    "core",
    [
        "how do penguins sleep?",
        "chloroquine",
        "What does 'plastid' mean?",
        "企鹅怎么睡觉？",
        "E-4031",
        "ARPNET和SITA是何时开始运营的？",
    ],
)
def test_the_core_is_what_was_asked(frame, core):
    assert without_small_talk(frame.format(core)) == core


@pytest.mark.parametrize(
    "question",
    [
        "",
        "?",
        "penguins",
        "could you please tell me how penguins sleep",
        "请问你知道企鹅怎么睡觉吗？谢谢",
        "I would like you to help me, please, thank you very much, I appreciate it so much, you are so kind",
        "how do you say thank you very much for your help in Chinese",
        "我 想 你 你 想 我 吗 谢谢 谢谢 谢谢 你 我",
        "I lost my card in Berlin yesterday, then I called the bank and they told me to wait for two weeks; can you help me please?",
    ],
)
def test_other_questions_stay_as_they_are(question):
    assert without_small_talk(question) == question


def test_quotation_marks_and_exclusions_keep_every_word():
    asked = LONG[0].format('"blue pump"')
    assert understand(asked) == Understood(asked, ("blue pump",))
    assert understand(LONG[0].format("a pump -motor")).excluded == ("motor",)


def test_an_answer_says_what_was_searched_for(tmp_path):
    embedder = WordEmbedder()
    texts = {"sleep": "Penguins sleep standing.", "help": "Hello, thanks a lot for your help in advance."}
    index_documents(tmp_path / "ix", [Document(name, text) for name, text in texts.items()], embedder)
    searcher = Searcher.open(tmp_path / "ix", embedder=embedder, rerank="none")
    answer = searcher.search(LONG[0].format("how do penguins sleep?"))
    plain = searcher.search("how do penguins sleep?")
    assert [(one.doc_id, one.score) for one in answer.results] == [(one.doc_id, one.score) for one in plain.results]
    assert answer.query.text == LONG[0].format("how do penguins sleep?")
    assert [str(notice) for notice in answer.notices if notice.code == "search.courtesies"] == [
        "searched for “how do penguins sleep?”; the courtesies around it were left out. "
        "Put what must be searched for in quotation marks"
    ]
    assert not [notice for notice in plain.notices if notice.code == "search.courtesies"]
