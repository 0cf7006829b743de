"""Messages as sentences: in both languages, nested, of an older version, and of other libraries."""

from quarry.app import words as catalog
from quarry.app.words import message_of, words
from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message


def _with(monkeypatch, **chinese):
    monkeypatch.setattr(catalog, "chinese", lambda: chinese)


def test_numbers_lists_and_messages_inside_a_message_are_written_in_its_language(monkeypatch):
    whole = Message.of(
        "a",
        "{count:passage|passages} of {names}: {reason}",
        count=1200,
        names=["x", "y"],
        reason=Message.of("b", "too short"),
    )
    _with(monkeypatch, a={"found": "{names} 的 {count:,} 个段落：{reason}"}, b={"found": "过短"})
    assert words(whole, "en") == "1,200 passages of x, y: too short"
    assert words(whole, "zh") == "x、y 的 1,200 个段落：过短"


def test_a_message_of_another_version_is_shown_by_its_own_template(monkeypatch):
    _with(monkeypatch, a={"found": "{amount} 个段落"})
    assert words(Message.of("a", "{count} passages", count=3), "zh") == "3 passages"


def test_exceptions_are_messages():
    err = SettingsError("ui.no_pairs_file", "{path} does not exist", path="x")
    assert message_of(err) is err.message
    assert words(message_of(OSError("disk I/O error")), "zh") == "disk I/O error"
    assert words(message_of(MemoryError()), "zh").startswith("内存不足（MemoryError）")
