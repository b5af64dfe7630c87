"""A full disk costs a recording its final name, never what was written before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")

FILL = """
import resource, sys
import numpy as np
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sources import open_source

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
sink = open_sink(sys.argv[2])
report = stream(open_source(sys.argv[1]), None, [sink, open_sink("null")], policy="every", pace=False)
assert sink.recorded is None and report.presented == 300
print(report.error)
"""

NAMES = ["out.mp4", "out.h5", "out.npz", "out.dcm", "out.mha", "out.nrrd"]


def fill(folder: Path, name: str, most: int) -> str:
    """Record 300 noisy frames of 96×128 where a file may hold ``most`` bytes. Returns what the stream says."""
    np.save(folder / "in.npy", np.random.default_rng(6).integers(0, 256, (300, 96, 128), np.uint8))
    command = [sys.executable, "-c", FILL, folder / "in.npy", folder / name, str(most)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_that_met_a_full_disk_is_partial(tmp_path: Path, name: str) -> None:
    from edgerecon.stream.sinks.files.recover import recover

    said = fill(tmp_path, name, 6_500_000 if name == "out.h5" else 1_500_000)
    assert said.startswith(f"cannot write {tmp_path / name}: ") and "edgerecon recover" in said
    assert not (tmp_path / name).exists()
    (found,) = recover(tmp_path)
    assert found.fault is None and 0 < found.frames < 300
    assert found.path == tmp_path / name.replace("out.", "out.partial.")


@pytest.mark.parametrize("name", ["out.npz", "out.dcm", "out.mha", "out.nrrd"])
def test_a_disk_full_while_packing_keeps_all_frames(tmp_path: Path, name: str) -> None:
    from edgerecon.stream.sinks.files.recover import recover

    said = fill(tmp_path, name, 300 * 96 * 128)  # the pixels fit, the head beside them does not
    assert said.startswith(f"cannot write {tmp_path / name}: ") and not (tmp_path / name).exists()
    (found,) = recover(tmp_path)
    assert (found.fault, found.frames) == (None, 300)
