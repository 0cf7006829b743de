"""`/documents/files`: whole files, read like those that are uploaded in the app, with the same limits."""

from threading import BoundedSemaphore
from typing import Annotated

from fastapi import APIRouter, Depends, File, UploadFile
from pydantic import BaseModel, Field

from quarry.app.server.problems import Problem
from quarry.app.server.routes.documents import inbox_full, job_shown
from quarry.app.server.services import RETRY_AFTER_S, Services, queue_full, services_of
from quarry.app.server.shapes.documents import JobOut, SkippedOut
from quarry.app.server.writing.inbox import InboxFullError
from quarry.app.uploads import MAX_FILE_MEGABYTES, MAX_FILES, MAX_TOTAL_MEGABYTES, Upload, read_uploads
from quarry.indexer.build.intake import storable
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.messages import Message

PATH = "/documents/files"
MAX_BYTES = (MAX_TOTAL_MEGABYTES + 1) << 20  # of one request: all its files, and what is between them
AT_A_TIME = 2  # requests whose files are in memory
router = APIRouter(tags=["documents"])
Shared = Annotated[Services, Depends(services_of)]
_slots = BoundedSemaphore(AT_A_TIME)


class FileDocument(BaseModel):
    """A document that a file holds; a mailbox or a table of rows holds several."""

    id: str
    title: str


class FilesAnswer(BaseModel):
    """The job that indexes the files, and what was left out."""

    job: JobOut
    documents: list[FileDocument]
    skipped: list[SkippedOut] = Field(description="Files, or parts of files, that could not be read, by name.")


@router.post(PATH, operation_id="add_files", status_code=202)
def add_files(
    files: Annotated[
        list[UploadFile],
        File(
            min_length=1,
            description=f"Up to {MAX_FILES} files of up to {MAX_FILE_MEGABYTES} MB, as the field `files` of a form.",
        ),
    ],
    services: Shared,
) -> FilesAnswer:
    """Read files and add their documents. They are safe on disk now and searchable once the job is done."""
    inbox, writer = services.writing()
    if not _slots.acquire(blocking=False):
        services.metrics.rejected.inc()
        raise Problem(429, queue_full(AT_A_TIME), retry_after_s=RETRY_AFTER_S)
    try:
        most = (MAX_FILE_MEGABYTES << 20) + 1  # one byte more tells that a file is too large
        read, skipped = read_uploads([Upload(file.filename or "", file.file.read(most)) for file in files])
    finally:
        _slots.release()
    documents = [storable(document) for document in {document.doc_id: document for document in read}.values()]
    if not documents:
        raise _nothing_readable(skipped)
    try:
        job = inbox.put_documents(documents)
    except InboxFullError as err:
        raise inbox_full(services) from err
    writer.wake()
    return FilesAnswer(
        job=job_shown(job, ""),
        documents=[FileDocument(id=document.doc_id, title=document.title) for document in documents],
        skipped=[SkippedOut(id=skip.source, reason=skip.reason, detail=str(skip.detail)) for skip in skipped],
    )


def _nothing_readable(skipped: list[Skipped]) -> Problem:
    message = Message.of(
        "serve.no_readable_file",
        "no file could be read: {reasons:;}",
        expected="files with text",
        do="Send others; POST /documents takes texts",
        reasons=[f"{skip.source}: {skip.detail}" for skip in skipped]
        or Message.of("serve.empty_files", "they are empty"),
    )
    return Problem(422, message)
