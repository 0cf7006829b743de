"""Sentences of the library in Chinese: all that the doctor says of real indexes, and the rest of what it may say."""

import json
import re
from datetime import UTC

from quarry.app.doctor import examine
from quarry.app.ui.index.presenter import history_rows, model_rows
from quarry.app.ui.shared.clock import Clock
from quarry.app.ui.shared.shown_text import told
from quarry.indexer.build import index_documents
from quarry.indexer.models.listing import list_models
from quarry.indexer.models.offline_bundle import absence
from quarry.indexer.records import Document
from quarry.indexer.storage.pointer import POINTER_NAME
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


def test_notes_of_models_and_reasons_of_switches(tmp_path, monkeypatch):
    monkeypatch.setattr("quarry.indexer.models.offline_bundle.PACKAGE", "no-such-package-anywhere")
    index = demo_index(tmp_path)
    notes = [row["备注"] for row in model_rows(list_models(), chinese)]
    reasons = [row["原因"] for row in history_rows(index, chinese, Clock(UTC))]
    assert all(is_chinese(text) for text in (*filter(None, notes), *reasons)), (notes, reasons)
    assert is_chinese(told(absence(), chinese))


def test_reasons_and_notes_of_older_files_are_shown_as_they_are(tmp_path):
    index = demo_index(tmp_path)
    pointer = index / POINTER_NAME
    facts = json.loads(pointer.read_text())
    facts.pop("checksum", None)
    facts["history"][-1]["reason"] = "promoted against the verdict"
    pointer.write_text(json.dumps(facts))
    assert history_rows(index, chinese, Clock(UTC))[0]["原因"] == "promoted against the verdict"
