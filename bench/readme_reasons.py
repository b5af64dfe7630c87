"""The figures within README's five reasons, each a few words of a sentence."""

from __future__ import annotations

from pathlib import Path

from bench.readme_quality import load, when
from bench.readme_speed import quickest_rows
from edgerecon.core.shipped import resource_dir
from edgerecon.workshop.recipe import load_recipe


def soak(folder: Path) -> str:
    """Frames that a million frames with faults lost without a word."""
    found = load(folder, "soak")
    lost, frames = (f"{count:,}".replace(",", " ") for count in (found["counts"]["unaccounted"], found["frames"]))
    return f"{lost} of {frames} frames"


def pace(folder: Path) -> str:
    """Frames a second of the default model's quickest row and the file that makes them."""
    row = quickest_rows(load(folder, "shipped"))["compact-despeckle"]
    return f"{row['fps']:.0f} frames/s by `{row['model']}` on {row['backend']}"


def loop(folder: Path) -> str:
    """The loop's p99 without a model over its peers', and when it was measured."""
    found = load(folder, "stream-overhead")
    holoscan, gstreamer, bare = (found["edgerecon_over"][name]["p99"] for name in ("holoscan", "gstreamer", "opencv"))
    peers = f"{holoscan:.2f} × Holoscan's p99 and {gstreamer:.2f} × GStreamer's, {bare:.1f} × a bare loop's"
    return f"{peers} ({when(found['host'])})"


def gates(_: Path) -> str:
    """What the default model's recipe allows a file to lose."""
    limits = load_recipe(resource_dir("export") / "compact-despeckle.toml").gates
    return f"{limits.max_drop_psnr_db:g} dB against fp32, or {100 * limits.max_measure_loss:g} %"
