"""edgerecon: deep-learning ultrasound reconstruction in real time on the device at hand.

The public interface is what this module exports; everything below it may change between versions. Names are loaded
when they are first used, so that ``import edgerecon`` is quick and pulls in no runtime.

Examples:
    >>> import numpy as np
    >>> import edgerecon as er
    >>> engine = er.open_engine("compact-despeckle")
    >>> engine.run(np.zeros((240, 320), np.float32)).shape
    (240, 320)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgerecon.core import __version__

if TYPE_CHECKING:
    from edgerecon.core.errors import EdgereconError
    from edgerecon.engines import open_engine
    from edgerecon.engines.base import Engine
    from edgerecon.hardware.device import device_names as list_devices
    from edgerecon.hardware.device import load_device
    from edgerecon.modelfile.catalogue import shipped_models as list_models
    from edgerecon.quality.evaluate.evaluate import evaluate
    from edgerecon.stream.loop.options import StreamOptions
    from edgerecon.stream.loop.stream import stream
    from edgerecon.stream.sinks import open_sink
    from edgerecon.stream.sinks.base import Sink
    from edgerecon.stream.sources import open_source
    from edgerecon.stream.sources.base import Capture, Source
    from edgerecon.workshop.recipe import load_recipe


__all__ = [
    "__version__",
    "Capture",
    "EdgereconError",
    "Engine",
    "Sink",
    "Source",
    "StreamOptions",
    "evaluate",
    "list_devices",
    "list_models",
    "load_device",
    "load_recipe",
    "open_engine",
    "open_sink",
    "open_source",
    "stream",
]

_HOMES = {
    "Capture": ("edgerecon.stream.sources.base", "Capture"),
    "EdgereconError": ("edgerecon.core.errors", "EdgereconError"),
    "Engine": ("edgerecon.engines.base", "Engine"),
    "Sink": ("edgerecon.stream.sinks.base", "Sink"),
    "Source": ("edgerecon.stream.sources.base", "Source"),
    "StreamOptions": ("edgerecon.stream.loop.options", "StreamOptions"),
    "evaluate": ("edgerecon.quality.evaluate.evaluate", "evaluate"),
    "list_devices": ("edgerecon.hardware.device", "device_names"),
    "list_models": ("edgerecon.modelfile.catalogue", "shipped_models"),
    "load_device": ("edgerecon.hardware.device", "load_device"),
    "load_recipe": ("edgerecon.workshop.recipe", "load_recipe"),
    "open_engine": ("edgerecon.engines", "open_engine"),
    "open_sink": ("edgerecon.stream.sinks", "open_sink"),
    "open_source": ("edgerecon.stream.sources", "open_source"),
}


def __getattr__(name: str) -> Any:
    if name == "stream":  # a package that can be called, see edgerecon/stream/__init__.py
        return importlib.import_module("edgerecon.stream")
    if name not in _HOMES:
        raise AttributeError(f"module 'edgerecon' has no attribute '{name}'")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
