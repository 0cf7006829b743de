"""Which error ends with which exit code, and what is printed of it."""

import pytest
import typer

from quarry.app.cli.exits import exit_code, usage_errors
from quarry.indexer.errors import IndexBusyError, SearchError


class WrongQuery(SearchError, ValueError):
    """As the errors are that a wrong query raises."""


def raising(err: BaseException):
    def run() -> None:
        raise err

    return run


@pytest.mark.parametrize(
    ("err", "code", "line"),
    [
        (WrongQuery("app.test", "the query is empty"), 2, "error: the query is empty\n"),
        (IndexBusyError("app.test", "another process writes"), 1, "error: another process writes\n"),
        (OSError(28, "No space left on device"), 1, "error: [Errno 28] No space left on device\n"),
        (MemoryError(), 1, "error: there is not enough memory (MemoryError); expected room for the model"),
        (MemoryError("std::bad_alloc"), 1, "error: there is not enough memory (std::bad_alloc)"),
        (OSError(12, "Cannot allocate memory"), 1, "error: there is not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "error: there is not enough memory"),
        (RuntimeError("can't start new thread"), 1, "the index is as it was"),
        (ValueError("operands could not be broadcast"), 1, "unexpected ValueError: operands could not be broadcast"),
        (KeyError("type"), 1, "unexpected KeyError: 'type'. Set QUARRY_DEBUG=1 to see the traceback"),
        (SystemExit(3), 3, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_exit_codes(capsys, monkeypatch, err, code, line):
    monkeypatch.delenv("QUARRY_DEBUG", raising=False)
    assert exit_code(raising(err)) == code
    printed = capsys.readouterr()
    assert line in printed.err
    assert bool(line) == bool(printed.err)
    assert printed.out == ""


@pytest.mark.parametrize("err", [ValueError("x"), IndexBusyError("app.test", "x"), KeyError("x")])
def test_debug_raises_every_error(monkeypatch, err):
    monkeypatch.setenv("QUARRY_DEBUG", "1")
    with pytest.raises(type(err)):
        exit_code(raising(err))


def test_only_what_is_wrapped_is_a_usage_error():
    with pytest.raises(typer.BadParameter, match="chunk tokens is 3"), usage_errors():
        raise ValueError("chunk tokens is 3; expected at least 16")
    with pytest.raises(IndexBusyError), usage_errors():
        raise IndexBusyError("app.test", "busy")
