"""The README's tables of image quality, from what ``edgerecon evaluate --json`` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgerecon.quality.evaluate.structure_front import structure_at
from edgerecon.quality.measures.measure import measures

Result = Mapping[str, Any]


def measured_on(host: Mapping[str, Any]) -> str:
    """Machine, date and commit of a result."""
    machine = f"{host['hostname']} ({host['cpu']}, {host['cores_logical']} cores)"
    return f"{machine}, {when(host)}"


def when(host: Mapping[str, Any]) -> str:
    """Date and commit of a result."""
    return f"{host['date'][:10]}, commit {(host['commit'] or 'unknown')[:9]}"


def load(folder: Path, name: str) -> Result:
    """A committed result."""
    content: Result = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return content


def simulated(folder: Path) -> str:
    """Input, best classical filter and model by each measure, for both tasks."""
    lines = ["| model | | PSNR dB | SSIM | VIF |", "|---|---|---|---|---|"]
    notes = []
    for name in ("despeckle-simulated", "compound-simulated"):
        found = load(folder, name)
        by_method = {line["method"]: line["measures"] for line in found["table"]}
        gains = found["advantage"]
        rival = {key: gains[key]["over"] for key in gains}
        head = f"`{found['model']}`"
        figures = {method: [f"{by_method[method][key]['mean']:.{d}f}" for key, d in _DIGITS] for method in by_method}
        best = [f"{figures[rival[key]][at]} ({rival[key]})" for at, (key, _) in enumerate(_DIGITS)]
        lines.append(f"| {head} | input | {' | '.join(figures['input'])} |")
        lines.append(f"| | best classical filter by each measure | {' | '.join(best)} |")
        lines.append(f"| | **model** | {' | '.join(f'**{figure}**' for figure in figures['model'])} |")
        lead = f"{gains['psnr_db']['mean']:+.2f} dB and {gains['ssim']['mean']:+.3f}"
        notes.append(f"{head} reaches {lead} ({measured_on(found['host'])})")
    return "\n".join(
        [*lines, "", f"The aim was +1 dB and +0.05 SSIM over the best tuned classical filter: {'; '.join(notes)}."]
    )


def real(folder: Path) -> str:
    """Speckle against edges on recordings, beside the best that classical filters do at the same edge preservation."""
    found = load(folder, "despeckle-real")
    by_method = {line["method"]: line["measures"] for line in found["table"]}
    place, gain = found["tradeoff"], found["tradeoff"]["advantage_percent"]
    contrast = f"{by_method['input']['gcnr']['mean']:.2f} → {by_method['model']['gcnr']['mean']:.2f}"
    return "\n".join(
        [
            "| speckle SNR | edge preservation | best classical filter there | gCNR, input → model |",
            "|---|---|---|---|",
            f"| ×{place['model']['snr_ratio']:.2f} | {place['model']['edge']:.3f} | "
            f"×{place['classical_at_edge']:.2f} ({gain['mean']:+.1f} %) | {contrast} |",
            "",
            "The best classical filter is the trade-off curve over all settings of all filters at the model's edge "
            f"preservation; the aim was 15 % above it. It varies between recordings: the 95 % interval over them is "
            f"{gain['low']:+.0f} to {gain['high']:+.0f} %. ({measured_on(found['host'])})",
        ]
    )


def scenes(folder: Path) -> str:
    """The despecklers and non-local means on simulated scenes with known truth, nothing matched."""
    found = load(folder, "simulated-scenes")
    lines = ["| | PSNR, dB | SSIM | contrast of cysts kept | of solid lesions |", "|---|--:|--:|--:|--:|"]
    for name, row in found["rows"].items():
        shown = f"non-local means, h = {row['strength']:g}" if "strength" in row else f"`{name}`"
        kept = " | ".join(with_interval(row[kind], 2) for kind in ("cyst", "solid"))
        lines.append(f"| {shown} | {row['psnr_db']:.2f} | {row['ssim']:.3f} | {kept} |")
    note = (
        f"PSNR and SSIM: means over the {found['scenes']} scenes of `export/heldout.npz`, whose best strength of nine "
        f"non-local means take; contrast: {found['lesions']} other scenes, with 95 % intervals. The aim was 0.95. "
        f"({measured_on(found['host'])})"
    )
    return "\n".join([*lines, "", note])


def detection(folder: Path) -> str:
    """Whether a classifier that learnt from raw frames still finds lesions after a model."""
    if not (folder / "detection.json").is_file():
        return "Not measured yet: `python bench/detection.py --json bench/results/detection.json`."
    found = load(folder, "detection")
    heads = ("AUC, lesion or none", "less raw", "AUC, cyst or solid", "less raw")
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for name, row in found["rows"].items():
        cells = " | ".join(
            with_interval(row[key], 3) for key in ("auc", "auc_less_raw", "cyst_auc", "cyst_auc_less_raw")
        )
        lines.append(f"| {f'`{name}`' if name.startswith('compact') else name} | {cells} |")
    note = (
        f"{found['scenes']['tested']} simulated scenes that the classifier did not see, with 95 % intervals over them; "
        f"it learnt from {found['scenes']['trained']} raw ones for {found['steps']} steps ({when(found['host'])})."
    )
    return "\n".join([*lines, "", note])


_WHOLE = {
    "level": ("mean level, after ÷ before", 2),
    "change": ("change between frames, after ÷ before", 2),
    "still": ("flicker where nothing moves", 1),
    "black": ("in far black", 1),
    "border": ("at a border", 1),
    "border, edge replicated": ("with its edge replicated", 1),
    "text": ("contrast that text keeps", 2),
}
"""Key of bench/whole_frames.py → heading and digits."""


def whole(folder: Path) -> str:
    """What models do to whole frames, model by model."""
    found = load(folder, "whole-frames")
    lines = [f"| | {' | '.join(head for head, _ in _WHOLE.values())} |", f"|---|{'--:|' * len(_WHOLE)}"]
    for model, row in found["models"].items():
        cells = [f"{row[key]:.{digits}f}" for key, (_, digits) in _WHOLE.items()]
        cells[0] += f" ({row['lowest level']:.2f}–{row['highest level']:.2f})"
        lines.append(f"| `{model}` | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{found['recordings']} recordings; {measured_on(found['host'])}."])


def protect(folder: Path) -> str:
    """CPU time of a frame, bare and protected, by what is on the screen."""
    found = load(folder, "protect")
    lines = ["| CPU time a frame of 1920 × 1080, ms | whole frame | protected |", "|---|--:|--:|"]
    for row in found["rows"]:
        what = "a copy in place of a model" if row["engine"] == "none" else f"`compact-despeckle`, {row['engine']}"
        lines.append(f"| {what}: {row['layout']} | {row['bare_cpu_ms']:.0f} | {row['protected_cpu_ms']:.0f} |")
    note = f"One thread, {found['note']} (`{found['command']}`; {measured_on(found['host'])})."
    return "\n".join([*lines, "", note])


def border(folder: Path) -> str:
    """What the continued border is worth in dB, of whole displays and of what lies near the border."""
    found = load(folder, "frame-border")
    lines = ["| gain in PSNR, dB | whole frame | within 8 pixels of the border |", "|---|--:|--:|"]
    for model, row in found["rows"].items():
        lines.append(f"| `{model}` | {with_interval(row['whole'], 2)} | {with_interval(row['border'], 2)} |")
    what = f"{found['displays']} simulated displays that no training saw"
    return "\n".join([*lines, "", f"{what} (`{found['command']}`; {measured_on(found['host'])})."])


AIMS = {
    "structure": "0.97 to 1.05",
    "speckle_left": "0.30 or less",
    "brightness_moved": "1.0 or less",
    "spill": "0.5 or less",
    "text": "1.00",
    "point_width": "1.05 or less",
    "edge_width": "1.05 or less",
}
"""What was asked for, by measure."""


def picture(folder: Path) -> str:
    """Every measure of the picture on recordings, with its interval and the classical front beside it."""
    found = load(folder, "evaluate-real")
    by_method = {line["method"]: line["measures"] for line in found["table"]}
    rivals = [line for line in found["table"] if line["method"] not in ("input", "model")]
    rival = max(rivals, key=lambda line: _standing(line["measures"], by_method["model"]))
    lines = [f"| measure | aim | model | {rival['method']} |", "|---|---|---|---|"]
    for key, one in measures().items():
        if by_method["model"].get(key, {}).get("mean") is not None:
            cells = [with_interval(line.get(key), one.digits) for line in (by_method["model"], rival["measures"])]
            lines.append(f"| {one.heading} | {AIMS.get(key, '')} | {' | '.join(cells)} |")
    front = found["front"]
    return "\n".join(
        [
            *lines,
            "",
            f"Means and 95 % intervals over {len({row['file'] for row in found['rows']})} recordings; in each a "
            "measure counts where there is something to measure. The filter is the classical one that keeps most "
            "structure with no more speckle than the model leaves; the front of all of them keeps "
            f"{front['classical_structure']:.2f} "
            f"there. ({measured_on(found['host'])})",
        ]
    )


def true_picture(folder: Path) -> str:
    """What the true picture of simulated displays scores by the measures that have an aim, beside the models."""
    found = load(folder, "true-picture")
    pictures = list(found["measures"])
    heads = " | ".join(_named(name) for name in pictures)
    lines = [f"| measure | aim | {heads} |", f"|---|---|{'---|' * len(pictures)}"]
    for key, aim in AIMS.items():
        one = measures()[key]
        cells = [with_interval(found["measures"][name][key], one.digits) for name in pictures]
        lines.append(f"| {one.heading} | {aim} | {' | '.join(cells)} |")
    for kind, label in (("cyst", "contrast of cysts kept"), ("solid", "contrast of solid lesions kept")):
        cells = [with_interval(found["contrast"][name][kind], 2) for name in pictures]
        lines.append(f"| {label} | 0.95 or more | {' | '.join(cells)} |")
    what = f"{found['displays']} simulated displays that no training saw, and {found['lesions']} scenes with a lesion"
    note = f"Means and 95 % intervals over {what} (`{found['command']}`; {measured_on(found['host'])})."
    return "\n".join([*lines, "", note])


def true_speckle(folder: Path) -> str:
    """Speckle left in the true picture and by the models, texture by texture and by looks."""
    found = load(folder, "true-picture")
    pictures = list(found["measures"])
    lines = [f"| speckle left in | looks | {' | '.join(map(_named, pictures))} |", f"|---|---|{'---|' * len(pictures)}"]
    for row in found["textures"]:
        if row["looks"] == "all" or row["texture"] == "fibres":
            cells = [with_interval(row["pictures"][name]["speckle_left"], 2) for name in pictures]
            texture = row["texture"].replace("_", " ")
            lines.append(f"| {texture} | {row['looks']} | {' | '.join(cells)} |")
    where = "`edgerecon/workshop/data/display/textures.py`"
    note = f"{found['displays']} displays of each texture alone ({where}; {measured_on(found['host'])})."
    return "\n".join([*lines, "", note])


def _named(picture: str) -> str:
    return picture if picture.startswith("true") else f"`{picture}`"


def strengths(folder: Path) -> str:
    """What each strength keeps and leaves on recordings, and what classical filters keep where they leave as much."""
    found = load(folder, "evaluate-real")
    front = [(point["structure"], point["speckle_left"]) for point in found["front"]["front"]]
    lines = ["| strength | structure kept | speckle left | classical filters keep there |", "|--:|--:|--:|--:|"]
    for at in found["front"]["curve"]:
        kept, left = at["structure"], at["speckle_left"]
        lines.append(f"| {at['blend']:g} | {kept:.3f} | {left:.2f} | {structure_at(front, left):.3f} |")
    command = f"edgerecon evaluate {found['model']} --data FOLDER --limit 1"
    return "\n".join([*lines, "", f"Means over the recordings of `{command}` ({when(found['host'])})."])


def compound(folder: Path) -> str:
    """One plane wave and what compact-compound makes of it, against 31 plane waves; nothing matched."""
    found = load(folder, "simulated-scenes")
    lines = ["| | PSNR, dB | SSIM |", "|---|--:|--:|"]
    lines += [f"| {name} | {row['psnr_db']:.2f} | {row['ssim']:.3f} |" for name, row in found["compound"].items()]
    note = f"Means over the scenes of `export/heldout.npz` ({measured_on(found['host'])})."
    return "\n".join([*lines, "", note])


def weight_levels(folder: Path) -> str:
    """What rounding to int8 loses with the levels that every CPU adds exactly, and with those of dot products alone."""
    found = load(folder, "weight-levels")
    lines = ["| lost against fp32, dB | 64 levels | 127 levels |", "|---|--:|--:|"]
    for row in found["rows"]:
        cells = (with_interval(row[f"lost_db_{limit}"], 3) for limit in (64, 127))
        lines.append(f"| `{row['model']}` | {' | '.join(cells)} |")
    what = f"Every convolution after training alone, over {found['displays']} simulated displays"
    return "\n".join([*lines, "", f"{what} (`{found['command']}`, {when(found['host'])})."])


def _standing(line: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[bool, float]:
    """Filters that leave no more speckle than the model first, by the structure that they keep."""
    structure = line["structure"]["mean"]
    return line["speckle_left"]["mean"] <= model["speckle_left"]["mean"], -abs(1 - structure)


def with_interval(interval: Mapping[str, float | None] | None, digits: int) -> str:
    if interval is None or interval["mean"] is None:
        return "–"
    low, high = interval["low"], interval["high"]
    bounds = "" if low is None or high is None else f" ({low:.{digits}f} to {high:.{digits}f})"
    return f"{interval['mean']:.{digits}f}{bounds}"


_DIGITS = (("psnr_db", 2), ("ssim", 3), ("vif", 3))
