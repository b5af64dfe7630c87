"""bench/hostile_inputs.py on those of its files that are made in a moment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
from bench import hostile_inputs


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the high-water mark of a process")
def test_opening_hostile_files_keeps_the_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = ("dimensions.nii.gz", "links.h5", "frame.png")
    monkeypatch.setattr(hostile_inputs, "INPUTS", {name: hostile_inputs.INPUTS[name] for name in quick})
    found = list(hostile_inputs.measure(tmp_path))
    assert [one.name for one in found] == list(quick) and all(one.holds for one in found), found
    assert "deep" in found[1].said and "exceeds limit" in found[2].said
    assert not hostile_inputs.Opened("a", 1.0, 301.0, 0.0, "").holds
    assert not hostile_inputs.Opened("a", 1.0, 0.0, 5.1, "").holds
