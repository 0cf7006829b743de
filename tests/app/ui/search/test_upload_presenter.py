"""Words about uploads in both languages: progress, outcome, and files left out by reason, their names as text."""

from quarry.app.ui.search.upload_presenter import left_out_html, outcome_words, progress_words
from quarry.app.uploads import Progress
from quarry.indexer.build import BuildReport
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.messages import Message
from tests.app.ui.languages import chinese, english


def test_a_file_is_named_under_its_reason_as_text():
    skip = Skipped("<b>x.pdf", "too large", Message.plain("30 MB"))
    assert "<li>too large (1)<ul><li><b>&lt;b&gt;x.pdf</b>: 30 MB</li></ul></li>" in left_out_html([skip], english)
    assert "<li>过大 (1)<ul><li><b>&lt;b&gt;x.pdf</b>：30 MB</li></ul></li>" in left_out_html([skip], chinese)


def test_files_left_out_are_grouped_and_the_end_of_a_long_group_is_counted():
    large = [Skipped(f"{number}.pdf", "too large", Message.plain("30 MB")) for number in range(60)]
    broken = Skipped("broken.pdf", "damaged", Message.plain("no pages"))
    shown = left_out_html([large[0], broken, *large[1:]], english)
    assert "Left out: 61" in shown
    assert shown.count("too large (60)") == 1
    assert "damaged or not what its name says (1)" in shown
    assert "and 10 more" in shown
    assert "另有 10 项" in left_out_html(large, chinese)


def test_progress_counts_files_while_they_are_read():
    assert progress_words(Progress("reading", 12, 40), english) == "Reading the files: 12 of 40 files"
    assert progress_words(Progress("reading", 12, 40), chinese) == "读取文件：第 12 个，共 40 个文件"
    assert progress_words(Progress("encoding", 3, 1_200), english) == "Encoding passages: 3 of 1,200"
    assert progress_words(Progress("storing", 0, None), chinese) == "存储向量"


def test_the_outcome_counts_what_is_new_changed_and_known():
    report = BuildReport(
        "000002", True, 44, 50, added=1, changed=2, removed=0, unchanged=41, encoded=3, skipped=(), seconds={}
    )
    assert outcome_words(report, 3, english) == (
        "1 document added, 2 changed, 3 already there; the index now has 44 documents."
    )
    assert outcome_words(report, 3, chinese) == "新增 1 个文档，更新 2 个，3 个已在索引中；索引现有 44 个文档。"
