"""`/documents`: add, delete, and query the state of these jobs; `/roots`. A job answered with 202 is on disk."""

from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from quarry.app.server.inbox import InboxFullError, Job
from quarry.app.server.problems import Problem
from quarry.app.server.services import Services, services_of
from quarry.app.server.shapes import (
    MAX_DOCUMENTS,
    DocumentsRequest,
    JobOut,
    RemovalPreview,
    RemovalRequest,
    RemoveIds,
    RemoveMatching,
    RootOut,
    RootsAnswer,
)
from quarry.indexer.build.intake import storable
from quarry.indexer.build.removal import Selection, find_documents, list_roots
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
        raise inbox_full(services) from err
    writer.wake()
    return job_shown(job, "")


@router.post("/documents/delete", operation_id="remove_documents", status_code=202)
@router.delete("/documents", operation_id="remove_documents_delete", status_code=202)
def remove(asked: RemovalRequest, services: Shared, answer: Response) -> JobOut | RemovalPreview:
    """Remove documents by ids, by metadata, or with their folder; a dry run returns at once (200) what would go.

    Some proxies drop the body of DELETE; POST to /documents/delete does the same.
    """
    inbox, writer = services.writing()
    selection = _selection(asked, services.settings.index)
    found = find_documents(services.settings.index, selection)
    if asked.dry_run:
        answer.status_code = 200
        return RemovalPreview(
            documents=len(found.doc_ids),
            ids=list(found.doc_ids[:MAX_DOCUMENTS]),
            not_found=list(found.not_found),
            returning=found.returning,
        )
    ids, root = selection.doc_ids, "".join(selection.roots)
    try:
        job = inbox.put_deletion(ids) if ids else inbox.put_removal(selection.filters, root)
    except InboxFullError as err:
        raise inbox_full(services) from err
    writer.wake()
    return job_shown(job, "")


def _selection(asked: RemovalRequest, index: FilePath) -> Selection:
    if isinstance(asked, RemoveIds):
        return Selection(doc_ids=tuple(asked.ids))
    if isinstance(asked, RemoveMatching):
        return Selection(filters=asked.filters)
    known = [root.prefix for root in list_roots(index)]
    if asked.root not in known:  # a path would tell what else is on this machine
        message = Message.of(
            "serve.no_such_root",
            "the index has no such folder",
            expected="one of {known}",
            do="GET /roots lists them",
            known=known or Message.of("serve.no_roots", "none: its documents came from programs"),
        )
        raise Problem(404, message)
    return Selection(roots=(asked.root,))


@router.get("/roots", operation_id="roots")
def roots(services: Shared) -> RootsAnswer:
    """Return the folders that the index was made from."""
    return RootsAnswer(
        roots=[
            RootOut(prefix=root.prefix, documents=root.documents, files=root.files, there=root.there)
            for root in list_roots(services.settings.index)
        ]
    )


@router.delete("/documents/{doc_id:path}", operation_id="delete_document", status_code=202)
def delete(doc_id: Annotated[str, Path(min_length=1, max_length=2_048)], services: Shared) -> JobOut:
    """Remove a document. One that came from a folder comes back when the folder is indexed again."""
    inbox, writer = services.writing()
    wanted = Selection(doc_ids=(doc_id,))
    if not inbox.waiting() and find_documents(services.settings.index, wanted).not_found:  # one that waits may add it
        message = Message.of(
            "serve.no_such_document",
            "the index has no document with this id",
            expected="the doc_id of a search result",
            do="Search for the document, and take the id from there",
        )
        raise Problem(404, message)
    try:
        job = inbox.put_deletion([doc_id])
    except InboxFullError as err:
        raise inbox_full(services) from err
    writer.wake()
    return job_shown(job, "")


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
    return job_shown(found, writer.problem)


def job_shown(job: Job, problem: str) -> JobOut:
    """Return a job for programs; `problem` is why it waits."""
    waits = {"reason": problem} if job.state == "queued" else {}
    return JobOut(
        job=job.id,
        kind=job.kind,
        state=job.state,
        documents=job.documents,
        acknowledged=job.at,
        **{**waits, **job.result},
    )


def inbox_full(services: Services) -> Problem:
    """Return the answer when too much text is waiting."""
    services.metrics.rejected.inc()
    message = Message.of(
        "serve.inbox_full",
        "too much text is waiting to be indexed",
        expected="at most {limit} bytes",
        do="Try again after the seconds in Retry-After",
        limit=services.settings.max_waiting_bytes,
    )
    return Problem(429, message, retry_after_s=_RETRY_S)
