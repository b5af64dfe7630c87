"""A learned beamformer: the parts of the aperture, weighed pixel by pixel by a model of the task "beamform".

signals ──► Beamformer.split (delays, outside the graph) ──► engine (ONNX, 2K channels → amplitude) ──► picture
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Beamformer
from edgerecon.beamform.methods import methods
from edgerecon.core.errors import UsageError
from edgerecon.engines import open_engine
from edgerecon.modelfile.catalogue import find_file, shipped_models
from edgerecon.modelfile.file import ModelFile

TASK = "beamform"
_HEADROOM = 8.0
"""How far above the brightest pixel of delay-and-sum an engine's output may reach before it is clipped."""


def is_learned(name: str) -> bool:
    """Whether ``name`` says a model that beamforms: a shipped name or a file, but no method."""
    if name in methods():
        return False
    if name not in shipped_models() and not name.endswith(".onnx"):
        return False
    return find_file(name).spec.task == TASK


def find_beamformer(name: str) -> ModelFile:
    """The file of a model that beamforms.

    Raises:
        UsageError: neither that nor a method; the message names both. ModelError: see ``read_model``.
    """
    if name in shipped_models() or name.endswith(".onnx"):
        file = find_file(name)
        if file.spec.task == TASK and file.spec.channels > 1:
            return file
        raise UsageError(f"{name} is for pictures: give it after the source, and a method of beamforming here")
    known = [*methods(), *(one for one in shipped_models() if find_file(one).spec.task == TASK)]
    raise UsageError(f"beamform '{name}' is unknown: known are {', '.join(known)}, or an .onnx file that beamforms")


class LearnedBeamformer:
    """Signals → amplitudes.

    Args:
        beamformer: of one acquisition; splits the aperture that the model was trained for. file: the model.
        backend: runtime, see ``open_engine``.

    Attributes:
        network_ms: of the last frame, beside the beamformer's own times.

    Raises:
        UsageError: see ``Beamformer.check_split``. ModelError, DependencyError, EngineError: see ``open_engine``.
    """

    def __init__(self, beamformer: Beamformer, file: ModelFile, backend: str = "auto") -> None:
        beamformer.check_split()
        self.beamformer, self._parts = beamformer, file.spec.channels // 2
        self.engine = open_engine(file, backend)
        self.network_ms = 0.0

    def __call__(self, signals: NDArray[Any]) -> NDArray[np.float32]:
        """(transmits, elements, samples) → amplitudes (H, W), in the units of delay-and-sum.

        Raises:
            AcquisitionError, EngineError: see ``Beamformer`` and ``Engine.run``.
        """
        planes = self.beamformer.split(signals, self._parts)
        began = perf_counter_ns()
        whole = np.hypot(planes[: self._parts].sum(0), planes[self._parts :].sum(0))
        white = _HEADROOM * float(whole.max())
        if white > 0:
            planes *= np.float32(1 / white)
        found = self.engine.run(planes) * np.float32(white)
        self.network_ms = (perf_counter_ns() - began) / 1e6
        return found
