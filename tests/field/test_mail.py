"""Mail: charsets and encodings, the plain or the rich version, attachments by their own readers, boxes of many mails."""

from email.message import EmailMessage

import pytest

from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.corpus.walk import ReadFile
from quarry.indexer.readers.mail import header_text
from tests.field.reading import document, read


def letter(body="The ferry leaves at noon.", **headers):
    mail = EmailMessage()
    mail["Subject"] = headers.get("subject", "渡轮时刻")
    mail["From"] = "港务处 <Port@example.org>"
    mail["To"] = "crew@example.org"
    mail["Date"] = "Mon, 03 Feb 2025 23:30:00 +0800"
    mail.set_content(body)
    return mail


def test_a_mail_has_its_subject_people_day_and_body(tmp_path):
    (tmp_path / "a.eml").write_bytes(letter("缆绳已更换，见第三号泊位。").as_bytes())
    mail = document(tmp_path / "a.eml")
    assert mail.title == "渡轮时刻"
    assert "缆绳已更换，见第三号泊位。" in mail.text
    assert mail.meta["date"] == "2025-02-03"
    assert mail.meta["sender"] == "port@example.org"
    assert mail.meta["from"] == "港务处 <Port@example.org>"


@pytest.mark.parametrize("charset", ["gb2312", "gb18030", "big5", "utf-8", "iso-2022-jp"])
def test_bodies_and_headers_are_read_in_their_charset(tmp_path, charset):
    words = "會議" if charset in ("big5", "iso-2022-jp") else "会议"
    mail = EmailMessage()
    mail["Subject"] = words
    mail.set_content(f"{words}室", charset=charset, cte="base64")
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    assert f"{words}室" in document(tmp_path / "a.eml").text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("=?gb2312?B?19TLrg==?= gate", "自水 gate"),
        ("=?utf-8?Q?=E9=97=B8=E9=97=A8?=", "闸门"),
        ("=?utf-8?B?5Lqk?= =?utf-8?B?5o6l?=", "交接"),
        ("=?unknown-charset?B?5Lqk5o6l?=", "交接"),
        ("plain words", "plain words"),
        (None, ""),
    ],
)
def test_encoded_headers(raw, text):
    assert header_text(raw) == text


def test_headers_of_raw_bytes_are_read_in_their_likely_charset(tmp_path):
    raw = b"Subject: " + "关于年度检修的通知".encode("gb18030") + b"\nFrom: a@example.org\n\nbody"
    (tmp_path / "a.eml").write_bytes(raw)
    assert document(tmp_path / "a.eml").title == "关于年度检修的通知"


def test_of_two_versions_one_is_read(tmp_path):
    mail = letter("The gate code changes on Friday.")
    mail.add_alternative("<p>The gate code changes on Friday.</p><style>p{}</style>", subtype="html")
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    text = document(tmp_path / "a.eml").text
    assert text.count("gate code") == 1
    assert "<p>" not in text


def test_a_stub_does_not_hide_the_rich_version(tmp_path):
    mail = letter("Open this in a browser.")
    mail.add_alternative("<p>" + "The tide table lists high water for each harbour. " * 12 + "</p>", subtype="html")
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    assert "tide table" in document(tmp_path / "a.eml").text


def test_attachments_are_documents_of_their_own_and_unreadable_ones_are_counted(tmp_path):
    mail = letter()
    mail.add_attachment(b"berth,depth\n7,4.5 m\n", maintype="text", subtype="csv", filename="泊位.csv")
    mail.add_attachment(bytes(range(256)) * 20, maintype="application", subtype="octet-stream", filename="model.bin")
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    event = read(tmp_path / "a.eml")
    assert isinstance(event, ReadFile)
    first, second = event.documents
    assert (second.doc_id, second.title) == ("a/泊位.csv", "泊位")
    assert "4.5 m" in second.text
    assert second.meta["attachment"] == "泊位.csv"
    assert first.meta["left_out"] == "1 attachments"
    assert [problem.reason for problem in event.problems] == ["partly read"]


def test_an_attached_word_file_is_read_and_its_name_is_no_path(tmp_path):
    from io import BytesIO

    from docx import Document

    word, buffer = Document(), BytesIO()
    word.add_paragraph("The capstan needs grease.")
    word.save(buffer)
    mail = letter()
    mail.add_attachment(buffer.getvalue(), maintype="application", subtype="msword", filename="../../etc/x.docx")
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    event = read(tmp_path / "a.eml")
    assert isinstance(event, ReadFile)
    assert "The capstan needs grease." in event.documents[1].text
    assert event.documents[1].title == "x"
    assert not (tmp_path.parent.parent / "etc").exists()


def test_an_attached_spreadsheet_is_read(tmp_path):
    from io import BytesIO

    from openpyxl import Workbook

    book, buffer = Workbook(), BytesIO()
    book.active.append(("锚链", 14))
    book.save(buffer)
    mail = letter()
    mail.add_attachment(buffer.getvalue(), maintype="application", subtype="vnd.ms-excel", filename="库存.xlsx")
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    event = read(tmp_path / "a.eml")
    assert isinstance(event, ReadFile)
    assert "锚链 | 14" in event.documents[1].text
    assert event.documents[1].title == "库存"


def test_a_forwarded_mail_is_part_of_the_text(tmp_path):
    mail = letter("See below.")
    mail.add_attachment(letter("The buoy light is out.", subject="Buoy 9"))
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    text = document(tmp_path / "a.eml").text
    assert "## Buoy 9" in text
    assert "The buoy light is out." in text


def test_flowed_lines_are_whole_again(tmp_path):
    (tmp_path / "a.eml").write_bytes(
        b"Subject: x\nContent-Type: text/plain; format=flowed\n\nThe slipway winch was \nreplaced in May.\nNext line.\n"
    )
    assert "The slipway winch was replaced in May.\nNext line." in document(tmp_path / "a.eml").text


def test_each_mail_of_a_box_is_a_document(tmp_path):
    mails = [
        letter("Oars are in the shed.", subject="Oars"),
        letter("From now on, no fires.\n\nFrom the board", subject="Fires"),
    ]
    box = b"".join(b"From x@example.org Mon Feb  3 09:00:00 2025\n" + mail.as_bytes() + b"\n" for mail in mails)
    (tmp_path / "a.mbox").write_bytes(box.replace(b"\n\nFrom the", b"\n\n>From the"))
    event = read(tmp_path / "a.mbox")
    assert isinstance(event, ReadFile)
    assert [(one.doc_id, one.title) for one in event.documents] == [("a/1", "Oars"), ("a/2", "Fires")]
    assert "From now on, no fires.\n\nFrom the board" in event.documents[1].text


@pytest.mark.parametrize(("name", "content"), [("a.mbox", b"no mail here\n"), ("a.eml", b"\n")])
def test_what_is_no_mail_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert isinstance(read(tmp_path / name), Skipped)
