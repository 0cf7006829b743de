"""`/documents`: add, delete, and query the state of these jobs. A job answered with 202 is on disk."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from quarry.app.server.inbox import InboxFullError, Job
from quarry.app.server.problems import Problem
from quarry.app.server.services import Services, services_of
from quarry.app.server.shapes import DocumentsRequest, JobOut
from quarry.indexer.build.intake import storable
from quarry.indexer.messages import Message
from quarry.indexer.records import Document

router = APIRouter(tags=["documents"])
Shared = Annotated[Services, Depends(services_of)]
_RETRY_S = 5


@router.post("/documents", operation_id="add_documents", status_code=202)
def add(sent: DocumentsRequest, services: Shared) -> JobOut:
    """Add documents, replacing those with the same id. They are safe on disk now and searchable once the job is done."""
    inbox, writer = services.writing()
    ids = [document.id for document in sent.documents]
    if len(set(ids)) < len(ids):
        message = Message.of(
            "serve.duplicate_id", "an id occurs twice", expected="unique ids", do="Send one version of each document"
        )
        raise Problem(409, message)
    documents = [storable(Document(each.id, each.text, each.title, each.meta)) for each in sent.documents]
    try:
        job = inbox.put_documents(documents)
    except InboxFullError as err:
        raise _full(services) from err
    writer.wake()
    return _shown(job, "")


@router.delete("/documents/{doc_id:path}", operation_id="delete_document", status_code=202)
def delete(doc_id: Annotated[str, Path(min_length=1, max_length=2_048)], services: Shared) -> JobOut:
    """Remove a document. One that came from a folder comes back when the folder is indexed again."""
    inbox, writer = services.writing()
    try:
        job = inbox.put_deletion([doc_id])
    except InboxFullError as err:
        raise _full(services) from err
    writer.wake()
    return _shown(job, "")


@router.get("/documents/jobs/{job}", operation_id="document_job")
def state(job: Annotated[str, Path(max_length=64)], services: Shared) -> JobOut:
    """Return the state of a job."""
    inbox, writer = services.writing()
    found = inbox.job(job)
    if found is None:
        message = Message.of(
            "serve.no_such_job",
            "there is no such job",
            expected="an id that /documents returned",
            do="Add the documents again if you need to be sure; old finished jobs are forgotten",
        )
        raise Problem(404, message)
    return _shown(found, writer.problem)


def _shown(job: Job, problem: str) -> JobOut:
    waits = {"reason": problem} if job.state == "queued" else {}
    return JobOut(
        job=job.id,
        kind=job.kind,
        state=job.state,
        documents=job.documents,
        acknowledged=job.at,
        **{**waits, **job.result},
    )


def _full(services: Services) -> Problem:
    services.metrics.rejected.inc()
    message = Message.of(
        "serve.inbox_full",
        "too much text is waiting to be indexed",
        expected="at most {limit} bytes",
        do="Try again after the seconds in Retry-After",
        limit=services.settings.max_waiting_bytes,
    )
    return Problem(429, message, retry_after_s=_RETRY_S)
