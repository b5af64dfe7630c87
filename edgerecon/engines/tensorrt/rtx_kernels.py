"""The kernels that TensorRT-RTX finishes on the GPU, kept between runs.

RTX compiles an engine's kernels for the GPU and the frame size when they are first used, which takes long enough to be
seen. Its runtime cache holds what was compiled; RTX itself refuses one of another GPU, driver or version.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from edgerecon.core.cache import cache_folder
from edgerecon.core.errors import EngineError
from edgerecon.core.sealed_file import Refused, read_sealed, write_sealed

_KIND = "kernels"
_log = logging.getLogger(__name__)


class KernelCache:
    """RTX's runtime cache of one engine, with a file in the cache folder.

    Args:
        config: the engine's runtime configuration, which will use it. engine: its bytes.
    """

    def __init__(self, config: Any, engine: bytes) -> None:
        self._path = cache_folder() / f"{hashlib.sha256(engine).hexdigest()[:24]}.{_KIND}"
        self._cache = config.create_runtime_cache()
        self._kept = b""
        try:
            self._kept = read_sealed(self._path, _KIND)[1]
        except Refused as reason:
            _log.debug("%s is not used: %s", self._path, reason)
        if self._kept and not self._cache.deserialize(self._kept):
            _log.info("%s is of another GPU, driver or TensorRT-RTX: its kernels are compiled again", self._path)
        config.set_runtime_cache(self._cache)

    def keep(self) -> None:
        """Write what was compiled since the last time."""
        content = bytes(self._cache.serialize())
        if content == self._kept:
            return
        try:
            write_sealed(self._path, _KIND, {}, content)
            self._kept = content
        except EngineError as error:
            _log.info("compiled kernels are not kept: %s", error)
