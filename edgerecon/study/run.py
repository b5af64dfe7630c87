"""The study: every system of the published work trained, measured, exported and timed, system after system."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from edgerecon.errors import EdgereconError, UsageError
from edgerecon.study.context import Context
from edgerecon.study.profile import Profile
from edgerecon.study.results import Result

SYSTEMS = ("recurrent", "tomography", "restoration", "enhancement", "super_resolution", "diagnosis")
"""Files of this folder; each has TITLE, PAPER and ``run(ctx)``, which fills ``ctx.result``."""

Progress = Callable[[str, int, int], None]


def chosen(only: Sequence[str]) -> tuple[str, ...]:
    """The systems to run, in their own order; all when none is named.

    Raises:
        UsageError: an unknown name.
    """
    if unknown := [name for name in only if name not in SYSTEMS]:
        raise UsageError(f"there is no system '{unknown[0]}' in the study: choose from {', '.join(SYSTEMS)}")
    return tuple(name for name in SYSTEMS if not only or name in only)


def run_systems(
    profile: Profile, folder: Path, only: Sequence[str] = (), *, resume: bool = False,
    on_progress: Progress | None = None,
) -> list[Result]:  # fmt: skip
    """Run the systems; each has a folder of its own under ``folder``, in which it goes on when ``resume`` is given.

    Raises:
        UsageError: see ``chosen``. EdgereconError: a system failed; what it had trained stays.
    """
    results = []
    for name in chosen(only):
        module = importlib.import_module(f"edgerecon.study.{name}")
        result = Result(name, module.TITLE, module.PAPER)
        own = folder / name
        if not resume:
            _clear(own)
        module.run(Context(profile, own, result, on_progress))
        results.append(result)
    return results


def _clear(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise EdgereconError(f"cannot remove {folder}: {error.strerror or error}") from None
