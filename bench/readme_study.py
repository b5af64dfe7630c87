"""The tables of docs/study.md and docs/study/: what was trained for how long, figures, verdicts in both profiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench.readme_quality import load, measured_on, when
from edgerecon.study.claims import count

Found = Mapping[str, Any]
Block = Callable[[Path], str]
PROFILES = ("quick", "long")
WORDS = {True: "holds", False: "does not hold", None: "undecided"}
SHOWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "recurrent": {
        "Denoising and missing data, all frames of a sequence": ("mse", "psnr_db", "ssim", "psnr_255_db"),
        "The same on real recordings": ("mse", "psnr_db", "ssim"),
    },
    "tomography": {
        "CT from 60 views": ("psnr_db", "ssim", "vif"),
        "Low-dose CT, 180 views": ("psnr_db", "ssim", "vif"),
        "MRI at 4×, variable density sampling": ("psnr_db", "ssim", "vif"),
        "Ultrasound from one scan line in 3": ("psnr_db", "ssim", "vif"),
        "Adaptive undersampling: MRI at 4× by the pattern of the lines": ("psnr_db", "ssim", "vif"),
    },
    "multicoil_mri": {"Multi-coil MRI at 4×, variable density sampling": ("psnr_db", "ssim", "vif")},
    "textured_ct": {"Textured CT from 60 views": ("psnr_db", "ssim", "vif")},
    "sparse_pet": {"Sparse PET": ("psnr_db", "ssim", "vif")},
    "restoration": {
        "Denoising": ("psnr_db", "ssim", "matched_psnr_db", "cnr", "gcnr"),
        "Artefact reduction": ("psnr_db", "ssim", "cnr"),
        "Contrast enhancement": ("psnr_db", "ssim", "cnr"),
        "Inpainting of missing regions": ("psnr_db", "hole_psnr_db", "texture"),
    },
    "enhancement": {"Enhancement by CNN": ("psnr_db", "ssim", "matched_psnr_db", "cnr", "gcnr")},
    "super_resolution": {
        f"Enlargement ×{scale}": ("psnr_db", "ssim", "psnr_speckled_db", "psnr_clean_db", "texture") for scale in (2, 4)
    },
    "diagnosis": {
        "Classification of raw frames": ("auc", "sensitivity", "specificity", "cyst_auc"),
        "Does reconstruction help detection? (DenseNet-201)": ("auc", "sensitivity", "specificity", "cyst_auc"),
        "Hallucinations: what is added, what is kept": (),
    },
}
"""System → title of a table → its columns on the page; all when none is named."""


PAPERS: Mapping[str, tuple[str, ...]] = {
    "recurrent": ("recurrent",),
    "unet": ("tomography", "multicoil_mri", "textured_ct", "sparse_pet"),
    "restoration": ("restoration",),
    "enhancement": ("enhancement",),
    "super-resolution": ("super_resolution",),
    "diagnosis": ("diagnosis",),
}
"""Page of a paper in docs/study/ → the systems of the study that it shows."""


def pages() -> dict[str, dict[str, Block]]:
    """Page → name of a block → what makes it."""
    found: dict[str, dict[str, Block]] = {
        "docs/study.md": {"counts": counts, "trained": trained, "weights": weights},
        "docs/study/speed.md": {"speed": speed},
    }
    for name, systems in PAPERS.items():
        blocks = found[f"docs/study/{name}.md"] = {}
        for system in systems:
            blocks[f"{system} tables"] = partial(tables, system)
            blocks[f"{system} verdicts"] = partial(verdicts, system)
            blocks[f"{system} networks"] = partial(networks, system)
    return found


def counts(folder: Path) -> str:
    """One sentence a profile."""
    reports = {name: load(folder, f"study-{name}") for name in PROFILES}
    return "\n".join(f"- `{name}` ({when(one['host'])}): {count(one['claims'])}." for name, one in reports.items())


def trained(folder: Path) -> str:
    """Steps of every network and minutes of every system, in both profiles."""
    lines = ["| system | profile | minutes | steps of its networks | measured on |", "|---|---|---|---|---|"]
    for name in PROFILES:
        report = load(folder, f"study-{name}")
        for system in report["systems"]:
            steps = sorted({curve[-1][0] for curve in system["curves"].values() if curve})
            shown = f"{steps[0]:,} to {steps[-1]:,}" if len(steps) > 1 else ", ".join(f"{n:,}" for n in steps)
            minutes = report["seconds"][system["name"]] / 60
            host = _host(report, system["name"])
            lines.append(f"| {system['name']} | {name} | {minutes:.0f} | {shown} | {measured_on(host)} |")
    return "\n".join(lines)


def tables(system: str, folder: Path) -> str:
    """The system's tables by the longest profile that has them."""
    found = {}
    for name in PROFILES:
        place = f"`{name}`, {when(_host(load(folder, f'study-{name}'), system))}"
        for one in _system(folder, name, system).get("tables", ()):
            found[one["title"]] = (place, one)
    parts = [_table(*found[title], keys) for title, keys in SHOWN[system].items() if title in found]
    return "\n\n".join(parts) or "*No figures yet: its networks have not been trained.*"


def verdicts(system: str, folder: Path) -> str:
    """Every claim in both profiles, with the figures of the longer one, or why it cannot hold."""
    reports = {name: load(folder, f"study-{name}") for name in PROFILES}
    lines = ["| claim | quick | long | figures |", "|---|---|---|---|"]
    for claims in zip(*(report["claims"] for report in reports.values()), strict=True):
        quick, long = claims
        if quick["system"] != system:
            continue
        shown = long if _ran(long) else quick
        words = [WORDS[one["holds"]] if _ran(one) else "" for one in claims]
        why = f" *{shown['explained']}*" if shown["explained"] else ""
        lines.append(f"| {quick['text']} | {words[0]} | {words[1]} | {_evidence(shown)}.{why} |".replace("..", "."))
    dates = "; ".join(f"`{name}`: {when(_host(report, system))}" for name, report in reports.items())
    return "\n".join([*lines, "", f"({dates}.)"])


def _evidence(claim: Found) -> str:
    """Which networks stopped at the budget is said where it leaves a claim undecided; all stand in their own table."""
    evidence: str = claim["evidence"]
    return evidence if claim["holds"] is None else evidence.partition(". Stopped at the budget")[0]


def networks(system: str, folder: Path) -> str:
    """How far each network of a system came in ``long``."""
    report = load(folder, "study-long")
    rows = [one for name, one in report.get("trained", {}).items() if name.partition("/")[0] == system]
    if not rows:
        return "*`long` has not trained its networks yet.*"
    lines = ["| network in `long` | steps | minutes | held-out error, last quarter of the steps |", "|---|---|---|---|"]
    for one in rows:
        lines.append(f"| {one['name']} | {one['steps']:,} | {one['seconds'] / 60:.0f} | {_state(one)} |")
    return "\n".join([*lines, "", f"({when(_host(report, system))}.)"])


def _state(network: Found) -> str:
    if network["finished"]:
        return "at its plateau"
    return "no measure" if network["falling"] is None else f"fell by {network['falling']:.1%}"


def weights(folder: Path) -> str:
    """What the networks reach that ship in export/study/, and the best classical method on the same scenes."""
    report = load(folder, "study-weights")
    lines = [
        "| network | trained | kB | MSE | PSNR, dB | SSIM | best classical, PSNR |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        cells = [f"{row[key]['mean']:.{digits}f}" for key, digits in (("mse", 5), ("psnr_db", 2), ("ssim", 3))]
        rival = row.get("classical", {}).get("psnr_db")
        cells.append(f"{rival['method']} {rival['mean']:.2f}" if rival else "")
        lines.append(f"| `{row['model']}` | {row['trained']} | {row['size_kb']:.0f} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"({measured_on(report['host'])}.)"])


def speed(folder: Path) -> str:
    """p50 of one frame for every network and CPU runtime."""
    report = load(folder, "study-quick")
    models = {model["name"]: model for system in report["systems"] for model in system["models"]}
    lines = ["| network | frame | MAC a pixel | ONNX Runtime, ms | OpenVINO, ms |", "|---|---|---|---|---|"]
    times = {(row["model"], row["backend"]): row["latency_ms"].get("p50") for row in report["speed"]}
    for name, model in models.items():
        shown = [f"{times[name, runtime]:.2f}" for runtime in ("onnxruntime", "openvino")]
        height, width = model["shape"]
        lines.append(f"| `{name}` | {height}×{width} | {model['macs_per_pixel']:,.0f} | {' | '.join(shown)} |")
    return "\n".join([*lines, "", f"({measured_on(report['host'])}, two threads.)"])


def _host(report: Found, system: str) -> Found:
    """With the date and the commit of the system's own figures, which an earlier run may have found."""
    return {**report["host"], **report.get("measured", {}).get(system, {})}


def _ran(claim: Found) -> bool:
    return not claim["evidence"].startswith("not run")


def _system(folder: Path, profile: str, system: str) -> Found:
    found: list[Found] = load(folder, f"study-{profile}")["systems"]
    return next((one for one in found if one["name"] == system), {})


def _table(place: str, table: Found, keys: tuple[str, ...]) -> str:
    metrics = [one for one in table["metrics"] if not keys or one["key"] in keys]
    lines = [
        f"*{table['title']} ({place}): {table['data']}*",
        "",
        f"| method | {' | '.join(one['label'] for one in metrics)} |",
        "|---|" + "---|" * len(metrics),
    ]
    best = {one["key"]: _best(one, table["rows"]) for one in metrics}
    for row in table["rows"]:
        cells = [_cell(row, one, best[one["key"]]) for one in metrics]
        lines.append(f"| {row['method']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _best(metric: Found, rows: list[Found]) -> float | None:
    means = [row["values"][metric["key"]]["mean"] for row in rows if _counts(metric, row)]
    if not means or not metric["better"]:
        return None
    return float(max(means) if metric["better"] == "higher" else min(means))


def _counts(metric: Found, row: Found) -> bool:
    return metric["key"] in row["values"] and row["kind"] != "reference"


def _cell(row: Found, metric: Found, best: float | None) -> str:
    """The mean, bold where it is the best, and the paper's own figure in brackets."""
    value = row["values"].get(metric["key"])
    paper = f" [{row['paper'][metric['key']]:g}]" if metric["key"] in row["paper"] else ""
    if value is None:
        return f"–{paper}"
    shown = f"{value['mean']:.{metric['digits']}f}{paper}"
    return f"**{shown}**" if value["mean"] == best and row["kind"] != "reference" else shown
