"""Source → engine → sinks under a deadline: the real-time loop, its deadlines and its counters.

``edgerecon.stream`` is this package and, called, the function ``edgerecon.stream.loop.stream.stream``: the public
interface has a function of the package's name, and importing the package would otherwise hide the function.

Examples:
    >>> import edgerecon as er
    >>> er.stream(er.open_source("sample"), None, [], policy="every", pace=False).to_json()["presented"]
    30
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from edgerecon.stream.loop.stream import stream

        return stream(*arguments, **options)

    @property
    def __signature__(self) -> Any:
        from inspect import signature

        from edgerecon.stream.loop.stream import stream

        return signature(stream)


sys.modules[__name__].__class__ = _CallablePackage
