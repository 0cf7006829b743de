"""Jobs: progress, stopping, failures in words, one at a time."""

import gc
import threading
import time
import weakref

import pytest

from quarry.app.ui.shared.jobs import Job, JobBoard, Progress, board
from quarry.indexer.errors import CorpusError, IndexBusyError


def ended(job: Job) -> Job:
    deadline = time.monotonic() + 10
    while job.state == "running":
        assert time.monotonic() < deadline, "the job did not end"
        time.sleep(0.005)
    return job


def test_progress_knows_its_share():
    assert Progress(25, 100, "bm25", 5.0).share == 0.25
    assert Progress(3, 0, "", 5.0).share == 0.0
    assert Progress(7, 5, "", 1.0).share == 1.0


def test_a_job_ends_with_its_result():
    job = ended(JobBoard().start("evaluation", lambda job: job.report(1, 2, "bm25") or 42))
    assert (job.state, job.result, job.error) == ("done", 42, None)
    assert (job.progress.done, job.progress.total, job.progress.doing) == (1, 2, "bm25")


def test_what_a_job_leaves_in_a_circle_is_freed():
    class Trainer:
        pass

    left = []

    def work(job):
        trainer = Trainer()
        trainer.callbacks = [trainer]
        left.append(weakref.ref(trainer))

    gc.disable()
    try:
        ended(JobBoard().start("training", work))
        deadline = time.monotonic() + 10
        while left[0]() is not None and time.monotonic() < deadline:
            time.sleep(0.005)
        assert left[0]() is None
    finally:
        gc.enable()


def test_an_error_of_ours_is_kept_in_its_words():
    def work(job):
        raise CorpusError("qrels.tsv line 3: grade 'x'; expected a whole number")

    job = ended(JobBoard().start("evaluation", work))
    assert job.state == "failed"
    assert str(job.error) == "qrels.tsv line 3: grade 'x'; expected a whole number"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unforeseen_error_ends_the_job_and_is_not_swallowed():
    def work(job):
        raise ZeroDivisionError

    job = ended(JobBoard().start("evaluation", work))
    assert job.state == "failed"
    assert job.error.code == "ui.job_unforeseen"
    for thread in threading.enumerate():  # the error reaches pytest when the thread ends, just after the job
        if thread.name == "quarry-evaluation":
            thread.join(10)


def test_a_stopped_job_ends_at_its_next_report():
    going, stopped = threading.Event(), threading.Event()

    def work(job):
        for step in range(1000):
            job.report(step, 1000, "bm25")
            going.set()
            stopped.wait(10)

    jobs = JobBoard()
    job = jobs.start("evaluation", work)
    going.wait(10)
    job.cancel()
    assert job.stopping
    stopped.set()
    assert ended(job).state == "cancelled"
    assert not job.stopping
    assert job.progress.done == 1


def test_one_of_a_kind_at_a_time():
    release = threading.Event()
    jobs = JobBoard()
    first = jobs.start("evaluation", lambda job: release.wait(10))
    with pytest.raises(IndexBusyError, match="another job of this kind has been running"):
        jobs.start("evaluation", lambda job: None)
    assert jobs.latest("evaluation") is first
    other = jobs.start("checks", lambda job: "sound")
    assert ended(other).result == "sound"
    release.set()
    ended(first)
    assert jobs.latest("checks") is other


def test_every_visitor_of_an_index_sees_the_same_jobs(tmp_path):
    (tmp_path / "a").mkdir()
    assert board(tmp_path / "a") is board(tmp_path / "a" / ".." / "a")
    assert board(tmp_path / "a") is not board(tmp_path / "b")
