"""Processes to which the permissions of files apply, also where the tests run as root."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DROP, _READ_ONLY, _NONE = 24, 0o555, 0o000
_POWERS = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER


def drop_powers() -> None:
    """Give up what lets root pass by permissions; for `preexec_fn`, as it counts for the next program."""
    if sys.platform == "linux" and os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for power in _POWERS:
            assert libc.prctl(_DROP, power, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())


def quarry(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of ours without powers; returns what it printed and its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "quarry", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=drop_powers,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **environment},
    )


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Take the right to write from a folder and all below it."""
    paths = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(_READ_ONLY if path.is_dir() else 0o444)
    try:
        yield folder
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@contextmanager
def unreadable(path: Path) -> Iterator[Path]:
    """Take every right to a file or folder."""
    mode = path.stat().st_mode
    path.chmod(_NONE)
    try:
        yield path
    finally:
        path.chmod(mode)
