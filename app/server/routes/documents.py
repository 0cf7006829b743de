"""`/documents`: list, show, add and delete, and the state of these jobs; `/originals`, `/roots`. A job answered with 202 is on disk."""

from pathlib import Path as FilePath
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import StringConstraints

from quarry.app.documents.catalog import UnknownDocument, list_documents, show_document
from quarry.app.documents.originals import NoOriginal, find_original, read_original
from quarry.app.documents.skips import list_skips
from quarry.app.server.problems import Problem
from quarry.app.server.services import Services, services_of
from quarry.app.server.shapes.documents import (
    MAX_DOCUMENTS,
    DocumentAnswer,
    DocumentOut,
    DocumentsAnswer,
    DocumentsRequest,
    FileSkipped,
    JobOut,
    PassageOut,
    RemovalPreview,
    RemovalRequest,
    RemoveIds,
    RemoveMatching,
    RootOut,
    RootsAnswer,
)
from quarry.app.server.writing.inbox import InboxFullError, Job
from quarry.indexer.build.intake import storable
from quarry.indexer.build.removal import Selection, find_documents, list_roots
from quarry.indexer.messages import Message
from quarry.indexer.records import Document
from quarry.indexer.storage.texts.conditions import parse_expression

router = APIRouter(tags=["documents"])
_PREVIEW: dict[int | str, dict[str, Any]] = {
    200: {"model": RemovalPreview, "description": "What would be removed: a dry run"}
}
Shared = Annotated[Services, Depends(services_of)]
DocId = Annotated[str, Path(min_length=1, max_length=2_048)]
Condition = Annotated[str, StringConstraints(max_length=4_096, pattern=r"^[^=<>!]+(>=|<=|!=|=|>|<)")]
_RETRY_S = 5
_ANY = "application/octet-stream"  # whatever the file is, a browser saves it and shows nothing of it


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


@router.post("/documents/delete", operation_id="remove_documents", status_code=202, responses=_PREVIEW)
@router.delete("/documents", operation_id="remove_documents_delete", status_code=202, responses=_PREVIEW)
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
            for root in list_roots(services.texts)
        ]
    )


@router.delete("/documents/{doc_id:path}", operation_id="delete_document", status_code=202)
def delete(doc_id: DocId, services: Shared) -> JobOut:
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


@router.get("/documents", operation_id="documents")
def documents(
    services: Shared,
    filter: Annotated[  # noqa: A002 (the parameter's name)
        list[Condition], Query(max_length=32, description="KEY=VALUE, KEY!=VALUE, or a bound such as date>=2024-04-01.")
    ] = [],  # noqa: B006 (FastAPI copies it)
    name: Annotated[str, Query(max_length=2_048, description="Part of an id or title.")] = "",
    start: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
    count: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> DocumentsAnswer:
    """Return a page of the documents, and the files that the last runs skipped."""
    skips = list_skips(services.settings.index) if services.caller.principals is None else ()
    listing = list_documents(services.texts, filters=_conditions(filter), words=name, start=start, count=count)
    return DocumentsAnswer(
        documents=[DocumentOut.of(document) for document in listing.documents],
        total=listing.total,
        start=listing.start,
        skipped=[FileSkipped(source=skip.source, reason=skip.reason, detail=str(skip.detail)) for skip in skips],
    )


def _conditions(expressions: list[str]) -> dict[str, list[str]] | None:
    wanted: dict[str, list[str]] = {}
    for expression in expressions:
        key, value = parse_expression(expression)
        wanted.setdefault(key, []).append(value)
    return wanted or None


@router.get(
    "/originals/{doc_id:path}",
    operation_id="original",
    response_class=Response,
    responses={200: {"content": {_ANY: {"schema": {"type": "string", "format": "binary"}}}}},
)
def original(doc_id: DocId, services: Shared) -> Response:
    """Return the file that a document came from, for saving; a file outside of the indexed folders is refused (404)."""
    try:
        found = find_original(services.texts, doc_id)
        content = read_original(found)
    except (UnknownDocument, NoOriginal) as err:
        raise Problem(404, err.message) from err
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Response(content, media_type=_ANY, headers=headers)


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


@router.get("/documents/{doc_id:path}", operation_id="document")
def document(doc_id: DocId, services: Shared) -> DocumentAnswer:
    """Return a document with its passages as they were cut."""
    try:
        shown = show_document(services.texts, doc_id)
    except UnknownDocument as err:
        raise Problem(404, err.message) from err
    return DocumentAnswer(
        document=DocumentOut.of(shown.document),
        meta=dict(shown.meta),
        passages=[
            PassageOut(**{field: getattr(passage, field) for field in PassageOut.model_fields})
            for passage in shown.passages
        ],
    )


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
