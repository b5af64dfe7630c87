"""The device world on Windows and macOS: a process in which what they lack is hidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

WITHOUT_POSIX = Path(__file__).parent / "support" / "without_posix.py"


RECORDINGS = ("out.mp4", "out.h5", "out.npz", "out.mha", "out.nrrd", "out.dcm")
"""Not Zarr: under the hidden names its library's event loop cannot start."""


def test_device_world_works_without_what_only_linux_has(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    streamed = ["stream", "sample", "compact-despeckle", "--backend", "onnxruntime", "--frames", "3"]
    for name in RECORDINGS:
        streamed += ["--sink", f"{tmp_path}/{name}"]
    streamed += ["--sink", f"black-box:{tmp_path}/box", "--json", f"{report}"]
    done = subprocess.run(
        [sys.executable, str(WITHOUT_POSIX), *streamed],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(RECORDINGS) <= {path.name for path in tmp_path.iterdir()}
    assert json.loads(report.read_text())["presented"] == 3
