"""Language by script, and length in words or characters."""

import pytest

from quarry.indexer.language import language_of, length_in_words


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("如何重置设备？", "zh"),
        ("如何在 Azure Data Studio 中查询 Azure 数据资源管理器数据库", "zh"),
        ("how do I reset the device?", "en"),
        ("who wrote the famous and very old book that is called 道 in the west", "en"),
        ("BGE reranker 的 max length 是多少", "mixed"),
        ("Comment réinitialiser l'appareil ?", "en"),
        ("デバイスをリセットするにはどうすればよいですか", "other"),
        ("기기를 초기화하는 방법", "other"),
        ("как сбросить устройство", "other"),
        ("", "other"),
        ("42 + 17 = ?", "other"),
        ("𠀀𠀁是罕见字", "zh"),
    ],
)
def test_language(text, language):
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("text", "words"), [("", 0), ("如何重置？", 4), ("don't panic", 2), ("用 Python 3 写代码", 6), ("bge-m3", 2)]
)
def test_length(text, words):
    assert length_in_words(text) == words
