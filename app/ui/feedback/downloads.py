"""The files that the Feedback page offers, as bytes, and what they contain and lack. It draws nothing."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from quarry.app.ui.shared.shown_text import Say, counted
from quarry.training.examples.rows import ExportReport, TextOf, training_lines, training_rows, write_beir
from quarry.training.feedback.events import StoredEvent
from quarry.training.feedback.judgements import document_grades, judgements


def training_file(events: Sequence[StoredEvent], text_of: TextOf) -> tuple[bytes, ExportReport]:
    """Return training rows in FlagEmbedding's format as the bytes of a JSONL file, and what was left out.

    Args:
        events: Oldest first.
        text_of: Looks up a passage's text; None for one that is no longer in the index.
    """
    rows, report = training_rows(judgements(events), text_of)
    return training_lines(rows), report


def beir_zip(events: Sequence[StoredEvent]) -> tuple[bytes, ExportReport]:
    """Return the judged questions as a zipped BEIR folder: `queries.jsonl` and `qrels/test.tsv`; equal events, equal bytes.

    Raises:
        FeedbackError: If the temporary folder cannot be written.
    """
    packed = BytesIO()
    with TemporaryDirectory() as folder:
        report = write_beir(Path(folder), document_grades(events))
        with ZipFile(packed, "w") as file:
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    entry = ZipInfo(path.relative_to(folder).as_posix())  # with the format's first day as its time
                    file.writestr(entry, path.read_bytes(), ZIP_DEFLATED)
    return packed.getvalue(), report


def training_words(report: ExportReport, say: Say) -> list[str]:
    """Return what an export of training rows contains and lacks."""
    words = [
        say(
            f"{counted(report.rows, 'question', 'questions')} with a relevant passage.",
            f"{report.rows:,} 个问题有相关段落。",
        )
    ]
    if report.without_negatives:
        words.append(
            say(
                f"{report.without_negatives} of them without a passage judged not relevant; mine negatives before training.",
                f"其中 {report.without_negatives} 个没有标为不相关的段落；训练前需先挖掘负例。",
            )
        )
    if report.without_positives:
        words.append(
            say(
                f"Left out: {counted(report.without_positives, 'question', 'questions')} without a relevant passage.",
                f"未导出：{report.without_positives} 个问题没有相关段落。",
            )
        )
    if report.missing:
        words.append(
            say(
                f"Left out: {counted(report.missing, 'judgement', 'judgements')} of whole documents or of passages no longer indexed.",
                f"未导出：{report.missing} 条标注的段落已不在索引中，或标注的是整篇文档。",
            )
        )
    return words


def beir_words(report: ExportReport, say: Say) -> list[str]:
    """Return what an export of judgements contains and lacks."""
    words = [
        say(f"{counted(report.rows, 'judged question', 'judged questions')}.", f"{report.rows:,} 个已标注的问题。")
    ]
    if report.unwritable:
        words.append(
            say(
                f"Left out: {counted(report.unwritable, 'judgement', 'judgements')} whose document id contains a tab or line break.",
                f"未导出：{report.unwritable} 条标注的文档标识含制表符或换行符。",
            )
        )
    return words
