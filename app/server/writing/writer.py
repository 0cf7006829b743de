"""The background writer: takes jobs from the inbox, builds a generation with them, and marks them done."""

import logging
import threading
from typing import Any

from quarry.app.server.writing.inbox import DamagedJobError, Inbox, Job
from quarry.indexer.build import BuildReport, index_documents, remove_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.removal import Selection, find_documents
from quarry.indexer.errors import QueryError, SearchError
from quarry.indexer.memory import out_of_memory
from quarry.indexer.messages import Message
from quarry.indexer.storage.texts.finished import own_path
from quarry.retriever.live import LiveSearcher
from quarry.retriever.models.recorded import as_recorded

_DOCUMENTS = 512  # per generation at most
_RETRY_S = 2.0
log = logging.getLogger("quarry.serve")


class Writer:
    """Indexes acknowledged jobs in order. It retries while the index is busy or the disk is full; no job is lost."""

    def __init__(self, inbox: Inbox, live: LiveSearcher) -> None:
        self._inbox, self._live = inbox, live
        self.problem = ""  # why nothing can be indexed now
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="quarry-writer", daemon=True)

    def start(self) -> None:
        """Start, with the jobs left by an earlier process."""
        self._thread.start()

    def wake(self) -> None:
        """Signal that a job is waiting."""
        self._wake.set()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Stop after the current jobs; return whether that took less than `timeout_s`. The next process does the rest."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                jobs = self._inbox.next_jobs(_DOCUMENTS)
                if jobs:
                    self._do(jobs)
                self.problem = ""
            except (SearchError, OSError, MemoryError) as err:
                self.problem = str(out_of_memory(err) or err) or type(err).__name__
                log.warning("documents wait: %s", type(err).__name__)
                self._stop.wait(_RETRY_S)
                continue
            if not jobs:
                self._wake.wait(60.0)

    def _do(self, jobs: list[Job]) -> None:
        if len(jobs) > 1 and any(self._looks_up(job) for job in jobs):
            self._do_apart(jobs)
            return
        try:
            results = self._build(jobs)
        except (QueryError, DamagedJobError) as err:  # a filter or folder that is no longer known, texts that changed
            if len(jobs) > 1:
                self._do_apart(jobs)
                return
            self._inbox.finish(jobs[0], "failed", {"reason": str(err)})
            return
        except (SearchError, OSError, MemoryError):
            raise
        except Exception as err:  # noqa: BLE001 (one document that breaks a library must not block the others)
            if len(jobs) > 1:
                self._do_apart(jobs)
                return
            log.warning("job %s failed: %s", jobs[0].id, type(err).__name__)
            reason = Message.of(
                "serve.job_failed",
                "{kind} while indexing",
                expected="text that can be split and encoded",
                do="Change the document",
                kind=type(err).__name__,
            )
            self._inbox.finish(jobs[0], "failed", {"reason": str(reason)})
            return
        self._live.refresh()  # so that a finished job's documents can be found
        for job, result in zip(jobs, results, strict=True):
            self._inbox.finish(job, "done", result)

    def _do_apart(self, jobs: list[Job]) -> None:
        for job in jobs:  # each fails or succeeds for itself
            self._do([job])

    def _build(self, jobs: list[Job]) -> list[dict[str, Any]]:
        self._live.refresh()  # another program may have made a newer generation
        embedder = as_recorded(self._live.embedder(), self._live.searcher.index.manifest)
        if jobs[0].kind == "add":
            texts = [self._inbox.documents(job) for job in jobs]
            every = [document for documents in texts for document in documents]
            report = index_documents(self._live.root, every, embedder, BuildOptions(allow_empty=True))
            return [_added(report, [document.doc_id for document in documents]) for documents in texts]
        wanted = [self._inbox.selection(job) for job in jobs]
        together = wanted[0] if len(wanted) == 1 else Selection(tuple(name for each in wanted for name in each.doc_ids))
        gone = find_documents(self._live.root, together)
        report = remove_documents(self._live.root, together, embedder)
        return [
            {
                "generation": report.generation,
                "removed": report.removed if len(jobs) == 1 else len(set(each.doc_ids).intersection(gone.doc_ids)),
                "not_found": [name for name in each.doc_ids if name in gone.not_found],
            }
            for each in wanted
        ]

    def _looks_up(self, job: Job) -> bool:
        """Whether a job deletes by filter or folder: what that is, is known when it runs."""
        if job.kind == "add":
            return False
        wanted = self._inbox.selection(job)
        return bool(wanted.filters or wanted.roots)


def _added(report: BuildReport, doc_ids: list[str]) -> dict[str, Any]:
    ours = {own_path(doc_id): doc_id for doc_id in doc_ids}
    skipped = [
        {"id": ours[skip.source], "reason": skip.reason, "detail": str(skip.detail)}
        for skip in report.skipped
        if skip.source in ours
    ]
    return {"generation": report.generation, "skipped": skipped}
