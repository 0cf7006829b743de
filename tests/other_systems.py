"""Loaded as `sitecustomize` by the processes of test_portability: what our code sees of the operating system is another one's.

QUARRY_SIMULATED is `darwin` or `win32`. Only modules of `quarry` see it: libraries ask what they were built for.

darwin: `setrlimit` refuses address-space limits, as macOS does.
win32: no `fcntl`, no `resource`; `os` without what Windows lacks, and it opens no folders; a file that is open cannot be renamed
over is not simulated. `msvcrt.locking` is made of POSIX locks.
"""

import builtins
import os
import sys
from types import ModuleType

SYSTEM = os.environ.get("QUARRY_SIMULATED", "")
ABSENT = {
    "win32": (
        *(
            "fork",
            "forkpty",
            "getuid",
            "geteuid",
            "getgid",
            "getpgid",
            "killpg",
            "pread",
            "pwrite",
            "sync",
            "O_DIRECTORY",
        ),
        *("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "chown", "fchmod", "fchown", "mkfifo", "statvfs", "uname", "setsid"),
        *("sched_getaffinity", "getloadavg", "nice"),
    ),
    "darwin": ("sched_getaffinity",),
}
ABSENT_MODULES = {"win32": ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "readline")}


class Seen(ModuleType):
    """A module as the other system has it."""

    def __init__(self, real, changed, absent=()):
        super().__init__(real.__name__)
        object.__setattr__(self, "_seen", (real, changed, frozenset(absent)))

    def __getattr__(self, name):
        real, changed, absent = object.__getattribute__(self, "_seen")
        if name in absent:
            raise AttributeError(f"module {real.__name__!r} has no attribute {name!r}")
        return changed[name] if name in changed else getattr(real, name)

    def __setattr__(self, name, value):
        setattr(object.__getattribute__(self, "_seen")[0], name, value)


def opened(path, flags, *arguments, **options):
    if SYSTEM == "win32" and os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return os.open(path, flags, *arguments, **options)


def seen_modules():
    modules = {
        "os": Seen(os, {"open": opened, "name": "nt" if SYSTEM == "win32" else "posix"}, ABSENT[SYSTEM]),
        "sys": Seen(sys, {"platform": SYSTEM}),
    }
    if SYSTEM == "darwin":
        import resource

        def setrlimit(kind, limits):
            if kind == resource.RLIMIT_AS:
                raise ValueError("current limit exceeds maximum limit")
            resource.setrlimit(kind, limits)

        modules["resource"] = Seen(resource, {"setrlimit": setrlimit})
    return modules


def fake_msvcrt():
    import fcntl

    module = ModuleType("msvcrt")

    def locking(descriptor, mode, count):
        try:
            fcntl.lockf(
                descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if mode else fcntl.LOCK_UN, count, os.lseek(descriptor, 0, 1)
            )
        except OSError as err:
            raise PermissionError(13, "Permission denied") from err

    module.LK_NBLCK, module.LK_UNLCK, module.locking = 2, 0, locking
    return module


def install():
    ordinary, seen = builtins.__import__, seen_modules()
    import importlib

    def imported(name, *where, **named):
        importer = where[0] if where else named.get("globals")
        if str((importer or {}).get("__name__")).startswith("quarry"):
            if name in ABSENT_MODULES.get(SYSTEM, ()):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if name in seen:
                return seen[name]
        return ordinary(name, *where, **named)

    def import_module(name, package=None):
        if name == "msvcrt" and SYSTEM == "win32":
            return fake_msvcrt()
        if name == "fcntl" and SYSTEM == "win32":
            raise ModuleNotFoundError("No module named 'fcntl'", name=name)
        return real_import_module(name, package)

    real_import_module = importlib.import_module
    importlib.import_module = import_module
    builtins.__import__ = imported


if SYSTEM and __name__ == "sitecustomize":
    install()
