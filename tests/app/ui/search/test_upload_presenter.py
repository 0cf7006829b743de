"""Files that were left out are listed with their reason in both languages, their names as text."""

from quarry.app.ui.search.upload_presenter import left_out_html
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.messages import Message
from tests.app.ui.languages import chinese, english


def test_a_file_is_named_with_its_reason_as_text():
    skip = Skipped("<b>x.pdf", "too large", Message.plain("30 MB"))
    assert "<li><b>&lt;b&gt;x.pdf</b>: too large. 30 MB</li>" in left_out_html([skip], english)
    assert "<li><b>&lt;b&gt;x.pdf</b>：过大。30 MB</li>" in left_out_html([skip], chinese)
    assert left_out_html([skip] * 60, english).count("<li>") == 50
