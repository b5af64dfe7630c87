"""The tables of docs/beamform.md: what the beamformer was to reach and was measured at, and what learning gains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.readme_quality import load, measured_on, with_interval

Row = Mapping[str, Any]

POINTS = {
    "single": ("one plane wave, RF", "≥ 1.2·10⁹, ≥ 5 ×"),
    "single-iq": ("one plane wave, IQ with its rotation", "≥ 1.2·10⁹, ≥ 5 ×"),
    "batch": ("32 frames at once, RF", "≥ 6·10⁹"),
    "batch-iq": ("32 frames at once, IQ", "≥ 6·10⁹"),
}
"""Points a second and PyMUST's multiple, 63 001 pixels and 128 elements."""
PICTURES = {
    "picture": ("one plane wave", "≤ 5 ms"),
    "compound": ("11 plane waves, coherent", "33 ms"),
    "cf": ("`cf`, one plane wave", ""),
    "dmas": ("`dmas`, one plane wave", ""),
    "gcf": ("`gcf`, one plane wave", ""),
    "mv": ("`mv`, one plane wave", ""),
}


def beamformer(folder: Path) -> str:
    """Points a second, then echoes to picture, then the live stream."""
    found = load(folder, "beamformer")
    rows = {row["case"]: row for row in found["rows"]}
    lines = [
        "| 63 001 pixels × 128 elements | aim | points/s, by the clock | by processor time | × PyMUST | worst error |",
        "|---|---|--:|--:|--:|--:|",
        *(_points(rows[case], *words) for case, words in POINTS.items()),
        "",
        "| 256×256, 128 elements, F/1.75: RF to grey | aim | ms | processor ms | demodulate / beamform / detect, ms "
        "| set-up, s | memory |",
        "|---|---|--:|--:|--:|--:|--:|",
        *(_picture(rows[case], *words) for case, words in PICTURES.items()),
        "",
        _live(rows["live"]),
        "",
        f"{measured_on(found['host'])}, {rows['picture']['threads']} threads, load before {found['load_before']:.1f}; "
        f"`{found['command']}`. With a load above 1 others ran beside it, and only processor times tell. "
        "**GPU: not measured** (`bash bench/gpu.sh`).",
    ]
    return "\n".join(lines)


def _points(row: Row, what: str, aim: str) -> str:
    ratio = f"{row['ratio']:.1f}" if row["ratio"] else "–"
    return (
        f"| {what} | {aim} | {_power(row['points_per_s'])} | {_power(row['cpu_points_per_s'])} | {ratio} "
        f"| {row['max_error_db']:.0f} dB |"
    )


def _picture(row: Row, what: str, aim: str) -> str:
    stages = " / ".join(f"{spent:.1f}" for spent in row["stages_ms"].values())
    memory = f"{row['memory_mb']:.0f} MB, {row['bytes_per_point']:.1f} bytes a point" if row["memory_mb"] else "–"
    return f"| {what} | {aim} | {row['ms']:.1f} | {row['cpu_ms']:.1f} | {stages} | {row['set_up_s']:.2f} | {memory} |"


def _live(row: Row) -> str:
    return (
        f"Live, {row['waves']} plane waves at {row['fps']:.0f} frames a second with `compact-despeckle` "
        f"({row['engine']['precision']} on {row['engine']['backend']}) behind: {row['missed']} of {row['frames']} "
        f"frames missed {row['deadline_ms']:.1f} ms or were lost; p50 {row['latency_ms']['p50']:.1f} ms, "
        f"p99 {row['latency_ms']['p99']:.1f} ms."
    )


def _power(value: float) -> str:
    """1 234 000 000 as 1.2·10⁹."""
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits}·10{''.join('⁰¹²³⁴⁵⁶⁷⁸⁹'[int(one)] for one in str(int(power)))}"


LEARNED = {
    "gcnr": ("gCNR", 3),
    "contrast_db": ("contrast, dB", 1),
    "speckle_snr": ("speckle SNR", 2),
    "lateral_fwhm_mm": ("lateral width, mm", 2),
    "side_lobe_db": ("side lobe, dB", 1),
}
"""Measures that are shown of every beamformer, and their digits."""


def most_gcnr(rows: Mapping[str, Any]) -> str:
    """What gCNR leaves to gain over delay-and-sum of one wave, since it ends at 1, and what 31 clean waves gain."""
    das = rows["das"]["gcnr"]["mean"]
    many = f", das-31 {rows['das-31']['gcnr']['mean'] - das:+.3f}" if "das-31" in rows else ""
    return f"at most {1 - das:+.3f}{many}"


def learned(folder: Path) -> str:
    """Every beamformer on every set of channel data, and what compact-beamform gains over delay-and-sum."""
    found = load(folder, "learned-beamforming")
    lines = [f"| | {' | '.join(title for title, _ in LEARNED.values())} |", "|---" * (1 + len(LEARNED)) + "|"]
    gains = []
    for kind, one in found["sets"].items():
        for name, row in one["rows"].items():
            figures = (with_interval(row.get(key), digits) for key, (_, digits) in LEARNED.items())
            lines.append(f"| {kind} ({one['cases']}), {name} | {' | '.join(figures)} |")
        ours = one["rows"]["compact-beamform"]
        width = ours["width_over_das"]["mean"]
        widths = "" if width is None else f" and lateral width {100 * width:+.0f} %"
        gains.append(f"{kind} gCNR {ours['gcnr_over_das']['mean']:+.3f} ({most_gcnr(one['rows'])}){widths}")
    speed, note = found["speed"], f" {found['note']}." if found["note"] else ""
    return "\n".join(
        [
            *lines,
            "",
            f"compact-beamform over das: {'; '.join(gains)}. A picture of 256×256 from one wave takes "
            f"{speed['compact-beamform_ms']:.0f} ms ({speed['frames_per_s']:.0f} a second) or "
            f"{speed['compact-beamform_cpu_ms']:.0f} ms of processor time, das {speed['das_ms']:.0f} or "
            f"{speed['das_cpu_ms']:.0f} ms.{note} {measured_on(found['host'])}.",
        ]
    )
