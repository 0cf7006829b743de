"""A parser process with a time and a memory limit, started at the first need and again after it had to be killed."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, Self

from quarry.indexer.readers.base import Extract, Reading, ReadOptions, RowProblem, Unreadable


class Sandbox:
    """Reads files in another process. A context manager: leaving it ends the process."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def read(self, kind: str, path: Path) -> Reading:
        """Read a file of a kind that the worker knows.

        Raises:
            Unreadable: With the reason; `time limit` after a kill, `damaged` when the parser died.
        """
        process = self._running()
        request = {"kind": kind, "path": os.fsencode(path).hex()}
        try:
            if process.stdin is not None:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
            line = self._replies.get(timeout=self._options.parser_seconds)
        except queue.Empty as err:
            self.close()
            detail = f"reading it took longer than {self._options.parser_seconds:.0f} s; split the file"
            raise Unreadable("time limit", detail) from err
        except OSError:
            line = ""
        if not line:
            self.close()
            raise Unreadable("damaged", "the parser died while reading it; expected an ordinary file. Save it again")
        reply = json.loads(line)
        if reply.get("reason") == "memory limit":
            self.close()  # what is left of its memory may not serve the next file
        return _reading(reply)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                # -P: what lies in the current folder is no module of ours. A session of its own: Ctrl-C is for us
                [sys.executable, "-P", "-m", "quarry.indexer.readers.worker", str(self._options.parser_bytes)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
                env=_environment(), start_new_session=True,
            )  # fmt: skip
            self._replies = queue.Queue()
            threading.Thread(target=_pump, args=(self._process.stdout, self._replies), daemon=True).start()
        return self._process


def _environment() -> dict[str, str]:
    """Return our environment with the folder that holds `quarry` first on the path, so that the worker runs the same code."""
    ours = str(Path(__file__).absolute().parents[3])
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{ours}{os.pathsep}{before}" if before else ours}


def _pump(stream: IO[str], replies: "queue.Queue[str]") -> None:
    """Move reply lines into a queue, so that waiting for one can have a limit; an empty line at the end."""
    try:
        for line in stream:
            replies.put(line)
    except ValueError:  # closed while reading
        pass
    replies.put("")


def _reading(reply: dict[str, Any]) -> Reading:
    if "reason" in reply:
        raise Unreadable(reply["reason"], reply["detail"])
    reading = reply["reading"]
    return Reading(
        tuple(Extract(**extract) for extract in reading["extracts"]),
        tuple(RowProblem(**problem) for problem in reading["problems"]),
    )
