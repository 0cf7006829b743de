"""First bytes and endings for files of random content: every format, and names that claim another one."""

OLE = bytes.fromhex("d0cf11e0a1b11ae1")  # old Office files and Outlook messages
STARTS = [
    b"",
    b"%PDF-1.4\n",
    b"PK\x03\x04",
    OLE,
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1f\x8b",
    b"<html>",
    b"<?xml version='1.0'?>",
    b"[",
    b"{",
    b'{"text": ',
    b"---\n",
]
ENDINGS = [
    "",
    "txt",
    "md",
    "html",
    "xml",
    "csv",
    "tsv",
    "json",
    "jsonl",
    "pdf",
    "docx",
    "pptx",
    "xlsx",
    "xls",
    "epub",
    "msg",
    "exe",
]
PACKED_ENDINGS = ["gz", "txt.gz"]
