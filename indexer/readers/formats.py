"""Which reader a file gets: by its first bytes where they tell, by its name otherwise; a name that is unknown is read if it is text."""

import io
import zipfile
from pathlib import Path

from quarry.indexer.messages import Message
from quarry.indexer.readers.archive import ZIP_ERRORS, broken_archive, check_archive
from quarry.indexer.readers.base import Reading, ReadOptions, Unreadable, needs_password
from quarry.indexer.readers.charset import looks_like_text
from quarry.indexer.readers.registry import SANDBOXED_KINDS, TEXT_KINDS, ZIPPED, read_here
from quarry.indexer.readers.sandbox import Sandbox

_BY_KIND = {
    "txt": "txt text asc nfo",
    "markdown": "md markdown mdx mdown mkd qmd rmd",
    "csv": "csv",
    "tsv": "tsv tab",
    "html": "html htm xhtml shtml",
    "xml": "xml rss atom svg xsd xsl xslt wsdl plist resx xlf dita dbk",
    "json": "json geojson webmanifest",
    "jsonl": "jsonl ndjson",
    "pdf": "pdf",
    "docx": "docx docm dotx",
    "pptx": "pptx pptm ppsx",
    "xlsx": "xlsx xlsm xltx",
    "xls": "xls",
    "epub": "epub",
    "odt": "odt ott",
    "ods": "ods ots",
    "odp": "odp otp",
    "msg": "msg",
    "eml": "eml",
    "mhtml": "mht mhtml",
    "mbox": "mbox mbx",
    "rtf": "rtf",
    "notebook": "ipynb",
    "rst": "rst",
    "tex": "tex ltx sty cls",
    "org": "org",
    "subtitles": "srt vtt",
    # read as they stand: `#` begins a comment there, not a heading
    "code": "py pyi pyx js mjs cjs ts tsx jsx vue svelte java kt kts scala groovy gradle c h cc cpp cxx hpp hh cs go rs rb php "
    "pl pm lua r jl swift m mm sh bash zsh fish ps1 psm1 bat cmd sql graphql gql proto thrift hs ml mli ex exs erl clj cljs lisp "
    "el scm vb vbs pas f90 f95 asm s css scss sass less coffee dart nim zig sol v vhd tf hcl nix cmake mk make "
    "ini cfg conf toml yaml yml json5 jsonc properties env editorconfig service rules desktop "
    "log out err diff patch bib po pot ics vcf",
}
_ENDINGS = {ending: kind for kind, endings in _BY_KIND.items() for ending in endings.split()} | {"": "txt"}
_NAMES = frozenset(
    {"makefile", "dockerfile", "jenkinsfile", "vagrantfile", "gemfile", "rakefile", "procfile", "justfile"}
)
_BINARY_ENDINGS = (
    "exe dll so dylib o obj a lib bin class jar war pyc pyo wasm dmg iso img msi deb rpm apk zip tar gz tgz bz2 xz zst 7z rar "
    "png jpg jpeg gif bmp tif tiff webp heic ico psd ai eps mp3 wav flac ogg m4a aac mp4 mkv avi mov wmv webm woff woff2 ttf otf "
    "db sqlite sqlite3 mdb parquet feather arrow npy npz pkl pickle pt pth safetensors onnx h5 hdf5 mat"
)
_NEVER = frozenset(_BINARY_ENDINGS.split())
_BINARY = ZIPPED | {"pdf", "xls", "msg"}
_MEMBERS = (
    ("word/document.xml", "docx"), ("ppt/presentation.xml", "pptx"), ("xl/workbook.xml", "xlsx"),
    ("META-INF/container.xml", "epub"),
)  # fmt: skip  # a table
_OPEN_DOCUMENT = {"text": "odt", "spreadsheet": "ods", "presentation": "odp"}
_MIME = b"application/vnd.oasis.opendocument."
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_SMALL = 1 << 16  # bytes of a text file that is read here, not in the sandbox: its size is limit enough


def format_of(path: Path, content: bytes) -> str:
    """Return the format of a file: what its content says, and where that says nothing, its name.

    Args:
        path: Its name; a `.gz` at the end is looked through.
        content: Its bytes, unpacked.

    Raises:
        Unreadable: If it is no format that can be read, or its content contradicts its name beyond repair.
    """
    name = path.name.removesuffix(".gz")
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    named = "code" if name.lower() in _NAMES else _ENDINGS.get(ending)
    if b"%PDF-" in content[:1024] and named not in TEXT_KINDS:
        return "pdf"
    if content.startswith(b"%PDF-"):
        return "pdf"
    if content.startswith(b"PK\x03\x04"):
        return _zip_format(content, named)
    if content.startswith(_OLE):
        return _ole_format(content, named)
    if content.startswith(b"{\\rtf"):
        return "rtf"
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if (named is None or named in _BINARY) and start.startswith((b"<!doctype html", b"<html")):
        return "html"
    if named is None and ending not in _NEVER and looks_like_text(content):
        return "txt"
    if named is None:
        found = Message.of(
            "readers.unknown_ending",
            "files ending in {ending} cannot be read",
            expected="text, or a format that has a reader",
            do="Convert it to txt, md, html, pdf, docx, pptx, xlsx, epub, csv or json",
            ending=ascii("." + ending[:20]),
        )
        raise Unreadable("unsupported format", found)
    if named in _BINARY:
        found = Message.of(
            "readers.other_content",
            "the content is not {format}",
            expected="the format that its name says",
            do="Copy the file again",
            format=named,
        )
        raise Unreadable("damaged", found)
    return named


def _zip_format(content: bytes, named: str | None) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
            mime = archive.open("mimetype").read(100) if "mimetype" in names else b""
    except ZIP_ERRORS as err:
        if named in TEXT_KINDS:
            return str(named)
        raise Unreadable("damaged", broken_archive(err)) from err
    for member, kind in _MEMBERS:
        if member in names:
            return kind
    if mime.startswith(_MIME):
        kind = mime.removeprefix(_MIME).decode("ascii", "replace").split("-")[0]
        if kind in _OPEN_DOCUMENT:
            return _OPEN_DOCUMENT[kind]
    if named in ZIPPED:
        return str(named)
    found = Message.of("readers.archive", "archives are not read", do="Unpack it and index the folder")
    raise Unreadable("unsupported format", found)


def _ole_format(content: bytes, named: str | None) -> str:
    """Tell old Office files, mails and encrypted new Office files apart by the names of their streams."""
    old_word = _stream("WordDocument") in content or _stream("PowerPoint Document") in content
    is_book = _stream("Workbook") in content or _stream("Book") in content
    if _stream("EncryptedPackage") in content or (named in ZIPPED and not old_word and not is_book):
        raise Unreadable("encrypted", needs_password())
    if _stream("__properties_version1.0") in content:
        return "msg"
    if is_book:
        return "xls"
    found = Message.of(
        "readers.old_office", "an Office file of the old binary format", do="Save it as docx, pptx, xlsx or pdf"
    )
    raise Unreadable("unsupported format", found)


def _stream(name: str) -> bytes:
    return name.encode("utf-16-le")


def read_content(path: Path, kind: str, content: bytes, options: ReadOptions, sandbox: Sandbox) -> Reading:
    """Read a file of a known format.

    Args:
        path: Where it is; parsers in the sandbox read it from there.
        kind: What `format_of` said.
        content: Its bytes, unpacked.
        options: Limits.
        sandbox: The parser process.

    Raises:
        Unreadable: With the reason.
    """
    if kind in TEXT_KINDS:
        if len(content) <= _SMALL and kind not in SANDBOXED_KINDS:
            return read_here(kind, path, content, options)
        return sandbox.read(kind, path, content)
    if path.stat().st_size != len(content):
        found = Message.of(
            "readers.packed",
            "a packed {format} file",
            expected="a text format inside of .gz",
            do="Unpack it",
            format=kind,
        )
        raise Unreadable("unsupported format", found)
    if kind in ZIPPED:
        check_archive(path, kind, options)
    return sandbox.read(kind, path)
