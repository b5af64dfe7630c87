"""The self-test of a bundle: the engine on this device does what ONNX Runtime did with the fp32 file.

``python -m edgerecon.deploy.bundle.acceptance FOLDER`` does it in a process of its own, since a runtime that meets a
foreign engine or a missing CPU instruction takes its process down.
"""

from __future__ import annotations

import json
import sys
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.core.errors import EdgereconError, GateError
from edgerecon.core.frame import Image, to_unit
from edgerecon.deploy.bundle.archive import CONFIG, BundleError
from edgerecon.deploy.bundle.bundle_config import BundleConfig, parse_config
from edgerecon.deploy.difference import difference
from edgerecon.engines import open_engine

MAX_FRAME_BYTES = 256 << 20


@dataclass(frozen=True)
class SelfTest:
    """max_error: largest difference found, tolerance: largest allowed, see ``edgerecon.deploy.difference``."""

    max_error: float
    tolerance: float
    frames: int
    backend: str
    precision: str


def self_test(folder: Path) -> SelfTest:
    """Run the packed frames through the engine of an unpacked bundle, e.g. ``prefix/current``.

    Raises:
        BundleError: the folder is no bundle, or its frames are broken. ModelError, EngineError, DependencyError: the
        engine cannot be opened or fails on a frame. GateError: it runs and differs by more than the tolerance.
    """
    config = read_config(folder)
    pairs = read_frames(folder / config.frames)
    worst = 0.0
    with closing(_open(folder, config)) as engine:
        for frame, expected in pairs:
            found = engine.run(frame)
            if found.shape != expected.shape:
                raise BundleError(f"the bundle's {config.frames} was made for another model: make the bundle again")
            worst = float(np.maximum(worst, difference(engine.spec.model, found, expected)))  # NaN stays and fails
        spec = engine.spec
    if not worst <= config.tolerance:
        raise GateError(
            f"{spec.backend} {config.precision} differs from the reference by {worst:.2g} on the packed frames, "
            f"allowed is {config.tolerance:.2g}"
        )
    return SelfTest(worst, config.tolerance, len(pairs), spec.backend, config.precision)


def read_config(folder: Path) -> BundleConfig:
    """Configuration of an unpacked bundle.

    Raises:
        BundleError: missing or invalid.
    """
    try:
        return parse_config((folder / CONFIG).read_bytes())
    except OSError as error:
        raise BundleError(f"{folder} holds no bundle ({CONFIG}: {error.strerror}): install one") from None


def pack_frames(path: Path, pairs: list[tuple[np.ndarray, Image]]) -> None:
    """Write (frame, expected) pairs: uint8 (H, W), and float32 (H·scale, W·scale) in [0, 1]."""
    arrays: dict[str, Any] = {}
    for index, (frame, expected) in enumerate(pairs):
        arrays[f"frame_{index}"], arrays[f"expected_{index}"] = frame, expected
    np.savez_compressed(path, **arrays)


def read_frames(path: Path) -> list[tuple[Image, Image]]:
    """The pairs of ``pack_frames``, frames as float32 in [0, 1].

    Raises:
        BundleError: missing, broken, empty or too large.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > MAX_FRAME_BYTES:
                raise BundleError(f"the bundle's {path.name} is too large")
        with np.load(path, allow_pickle=False) as arrays:
            pairs = [_pair(arrays, index) for index in range(len(arrays.files) // 2)]
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"the bundle's {path.name} is broken ({error}): make the bundle again") from None
    if not pairs:
        raise BundleError(f"the bundle's {path.name} holds no frames: make the bundle again")
    return pairs


def _pair(arrays: Mapping[str, Any], index: int) -> tuple[Image, Image]:
    frame, expected = arrays[f"frame_{index}"], arrays[f"expected_{index}"]
    if frame.dtype != np.uint8 or expected.dtype != np.float32 or frame.ndim != 2:
        raise ValueError(f"pair {index} has the wrong types")
    return to_unit(frame), expected


def _open(folder: Path, config: BundleConfig) -> Any:
    return open_engine(folder / config.model, config.backend, precision=config.precision, threads=config.threads)


def main() -> None:
    """Test the folder named on the command line; JSON on stdout, or one line on stderr and exit status 1."""
    try:
        result = self_test(Path(sys.argv[1]))
    except EdgereconError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    sys.stdout.write(json.dumps(asdict(result)) + "\n")


if __name__ == "__main__":
    main()
