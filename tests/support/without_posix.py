"""Imports every module of the device world, then runs the command line, in a Python that lacks what Windows lacks.

Libraries are imported before it is hidden: only what edgerecon does by itself is tried.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.support.windows_files import emulate

LIBRARIES = ("onnxruntime", "pydantic.main", "pydicom.examples", "rich.live", "typer.rich_utils")
MODULES = ("fcntl", "resource", "grp", "pwd", "termios", "tty", "pty", "syslog")
MISSING = {
    os: (
        "fork",
        "forkpty",
        "getuid",
        "geteuid",
        "getgid",
        "sysconf",
        "memfd_create",
        "pread",
        "pwrite",
        "posix_fallocate",
        "sendfile",
        "setpriority",
        "getpriority",
        "mkfifo",
        "fchmod",
        "uname",
        "eventfd",
        "killpg",
        "statvfs",
        "sched_getaffinity",
        "sched_setaffinity",
        "sched_setscheduler",
        "sched_getscheduler",
        "sched_param",
        "O_NONBLOCK",
        "O_CLOEXEC",
        "O_NOFOLLOW",
        "O_DIRECTORY",
    ),
    signal: (
        "SIGHUP",
        "SIGKILL",
        "SIGUSR1",
        "SIGUSR2",
        "SIGALRM",
        "SIGCHLD",
        "SIGPIPE",
        "alarm",
        "setitimer",
        "pthread_kill",
    ),
    socket: ("AF_UNIX", "TCP_USER_TIMEOUT"),
}
ELSEWHERE = ("edgerecon.integrations",)  # parts of frameworks that are not of this package
WORKSHOP = ("edgerecon.workshop", "edgerecon.study", "edgerecon.deploy.export", "edgerecon.engines.pytorch")


def hide() -> None:
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for module, names in MISSING.items():
        for name in names:
            with suppress(AttributeError):
                delattr(module, name)
    sys.platform = "win32"
    emulate()


def import_all() -> None:
    import edgerecon

    for module in pkgutil.walk_packages(edgerecon.__path__, "edgerecon."):
        if not module.name.startswith((*WORKSHOP, *ELSEWHERE)) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


if __name__ == "__main__":
    for library in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(library)
    import_all()  # with what it imports from others
    for name in [name for name in sys.modules if name.partition(".")[0] == "edgerecon"]:
        del sys.modules[name]
    hide()
    import_all()
    from edgerecon.__main__ import main

    main()
