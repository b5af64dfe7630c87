"""Make docs/pictures.md: twelve recordings never trained on, before and after, beside the best classical filter.

Four of them are shown through compact-despeckle-large as well, beside compact-despeckle.

python bench/pictures.py FOLDER, with the recordings of ``RECORDINGS`` under FOLDER, writes docs/pictures.md,
docs/pictures/*.webp and bench/results/pictures.json.

Each picture shows 256×256 pixels of a frame, pixel for pixel: the input, the classical filter that keeps most structure
with no more speckle left than ours (non-local means where there is no structure to measure), ours, and what ours
changed, four times as strong, around grey. The panels of a picture have one gain.
"""

from __future__ import annotations

import argparse
import json
import math
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow

from edgerecon.core.frame import Image, to_uint8, to_unit
from edgerecon.core.json import plain
from edgerecon.engines import open_engine
from edgerecon.hardware.device import host_profile
from edgerecon.quality.evaluate.structure_front import comparable
from edgerecon.quality.evaluate.sweep import Setting, mean
from edgerecon.quality.evaluate.sweep_cache import cached_sweep
from edgerecon.quality.filters.filter import filters
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import measure_frame, measures
from edgerecon.quality.regions import find_regions
from edgerecon.stream.picture.protect import ProtectedEngine
from edgerecon.stream.sources import open_source

ROOT = Path(__file__).resolve().parents[1]
PAGE, FOLDER, RESULT = ROOT / "docs/pictures.md", ROOT / "docs/pictures", ROOT / "bench/results/pictures.json"
MODEL, LARGE = "compact-despeckle", "compact-despeckle-large"
SIDE, GAP, STRONGER, QUALITY = 256, 4, 4, 88
KEYS = ("structure", "speckle_left", "brightness_moved", "spill", "edge_width")
CLIP_FRAMES, CLIP_QUALITY = 24, 70


@dataclass(frozen=True)
class Recording:
    """A recording and the window of it that is shown.

    Attributes:
        file: under the folder of recordings, or a source of ours. name: of the picture. title: what it shows.
        source, licence: where it comes from. frame: which. left, top: of the window; None for the middle.
        gain: for showing, of all panels alike. remark: what a reader sees who looks at it.
    """

    file: str
    name: str
    title: str
    source: str
    licence: str
    remark: str
    frame: int = 6
    left: int | None = None
    top: int | None = None
    gain: float = 1.0


SONOCROP = "https://github.com/davycro/sonocrop"
ITKPOCUS = "https://github.com/KitwareMedical/ITKPOCUS"
MUSCLE = "https://github.com/timvanderzee/ultrasound-automated-algorithm"
RECORDINGS = (
    Recording(
        "sample",
        "heart",
        "Heart, apical view",
        "https://github.com/pydicom/pydicom",
        "MIT",
        "The septum and the valve stay; the walls are softer than in the input. The scanner's bar below is text on "
        "grey, which a stream protects once it has seen it stand still for longer than these seven frames: here it "
        "lost contrast.",
        gain=1.6,
    ),
    Recording(
        "cine/sonocrop_test.npz",
        "abdomen",
        "Abdomen, phased array",
        SONOCROP,
        "Apache-2.0",
        "The classical filter breaks tissue into patches; ours does not. Of the faint echoes in the lower third "
        "little remains: who looks for them wants a strength of 0.5.",
        gain=1.5,
    ),
    Recording(
        "cine/sonocrop_simple_soft_tissue.npz",
        "vessels",
        "Soft tissue and veins, linear",
        SONOCROP,
        "Apache-2.0",
        "Grain in the fat above is joined into strands, and the input does not tell whether each of them is "
        "anatomy. This is not the picture to read alone: have the input beside it.",
        gain=1.5,
    ),
    Recording(
        "cine/flowave_brachial.npz",
        "artery",
        "Brachial artery with a colour box",
        "https://github.com/ccoolbaugh/FloWave.US",
        "MIT",
        "The colour box was recorded in grey, so nothing tells it from tissue, and its outline fades a little. In "
        "a recording in colour it passes unchanged.",
    ),
    Recording(
        "cine/itkpocus_butterfly-ocular-phantom.mp4",
        "eye",
        "Phantom of an eye",
        ITKPOCUS,
        "Apache-2.0",
        "The grain of the phantom's tissue is coarse. Some of it is left as bright spots that look like structure "
        "and are none; the classical filter leaves them too.",
    ),
    Recording(
        "cine/BoneUltrasound_L14.igs.mha",
        "bone",
        "Bone and muscle",
        "https://github.com/PlusToolkit/PlusLibData",
        "BSD-3-Clause",
        "The cortex and the fibres above it keep their amplitude.",
    ),
    Recording(
        "frames/timtrack_gl_rom.npz",
        "calf",
        "Lateral calf muscle",
        MUSCLE,
        "CC0-1.0",
        "Fascicles stay sharp and the grain between them goes.",
    ),
    Recording(
        "frames/timtrack_vl_S1.npz",
        "thigh",
        "Thigh muscle, subject 1",
        MUSCLE,
        "CC0-1.0",
        "Fascicles keep their edges, where the classical filter frays them. Some short streaks between them are "
        "grain that was taken for fibre.",
    ),
    Recording(
        "frames/timtrack_vl_S3.npz",
        "thigh-3",
        "Thigh muscle, subject 3",
        MUSCLE,
        "CC0-1.0",
        "The recording's black is clipped, and neither filter restores what is missing. The bright fascicles keep "
        "their edges in both. Between them the classical filter makes patches of the grain, and ours, below left, "
        "faint streaks along the fibres, of which the input does not tell whether they are fibres.",
    ),
    Recording(
        "frames/timtrack_gm_telemed_030.npz",
        "calf-moving",
        "Medial calf muscle, moving (Drazan, Hullfish & Baxter, PeerJ 7120)",
        "https://zenodo.org/records/2598553",
        "CC-BY-4.0",
        "The recording is coded so strongly that what is taken away is blocks as much as speckle. Ours joins the steps "
        "between blocks into strokes and keeps 0.89 of the structure's amplitude; the lines along the bright fascia in "
        "the last panel are what it lost. The classical filter loses none and leaves the steps. Read the input here.",
    ),
    Recording(
        "frames/timtrack_gm_sampleA.npz",
        "calf-medial",
        "Medial calf muscle (Seynnes & Cronin, PLoS ONE 0229034)",
        "https://data.mendeley.com/datasets/dpmf9bz8pt/2",
        "CC-BY-4.0",
        "Lines of one direction keep their amplitude, and the ripples between them, which are grain, go.",
    ),
    Recording(
        "frames/itkpocus_sonivate-anechoic_1-1.nrrd",
        "cyst",
        "Phantom with cysts",
        ITKPOCUS,
        "Apache-2.0",
        "The cyst comes out of coarse grain with a rim. The dark spot and a few faint streaks right of it are grain "
        "that was taken for structure, which the smoother classical filter does not show.",
        gain=3.0,
        left=128,
        top=256,
    ),
)
LARGE_REMARKS = {
    "vessels": "The curl above is crisper, and so is the rim of the round muscle; the strands in the fat are the same.",
    "thigh": "Hardly to be told apart. Between fascicles the large one leaves a few more flecks of grain.",
    "calf-moving": "The small one's strokes in place of the steps between coded blocks are there, too. The bright "
    "fascia keeps more of its amplitude.",
    "cyst": "The dark spot is gone, and most of the streaks; the cyst is rounder, and its rim sharper.",
}
"""Name of a recording that the large model is shown on, too → what a reader sees who looks at it."""
CLIP = "abdomen"


def frames_of(recording: Recording, folder: Path, count: int) -> list[Image]:
    """The first frames of a recording, (H, W) in [0, 1]."""
    path = recording.file if recording.file == "sample" else str(folder / recording.file)
    with closing(open_source(path)) as source:
        return [to_unit(one.image) for one in islice(source.frames(), count) if one.image is not None]


def window(recording: Recording, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns that are shown."""
    sides = [min(SIDE, size) for size in shape[:2]]
    starts = [
        (size - side) // 2 if at is None else at
        for size, side, at in zip(shape, sides, (recording.top, recording.left), strict=False)
    ]
    rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return rows, columns


def rival(image: Image, speckle: float) -> tuple[Setting, Image]:
    """The classical filter beside ours, and what it makes of the image."""
    settings = cached_sweep({"shown": [image]}, {"shown": [find_regions(image)]}, list(filters()))
    known = [one for one in settings if math.isfinite(one.structure_point()[0])]
    chosen = comparable(known, speckle) if known else min(settings, key=lambda one: _distance(one, speckle))
    return chosen, np.array(filters()[chosen.method].run(image, **chosen.parameters))


def _distance(setting: Setting, speckle: float) -> tuple[bool, float]:
    """Where no structure can be measured: the non-local means that leave as much speckle."""
    return setting.method != "non-local means", abs(mean(setting.rows, "speckle_left") - speckle)


def panels(before: Image, classical: Image, ours: Image, gain: float) -> np.ndarray:
    """The four panels side by side, uint8."""
    changed = np.clip(0.5 + STRONGER * (ours - before), 0, 1)
    shown = [to_uint8(np.clip(gain * image, 0, 1)) for image in (before, classical, ours)] + [to_uint8(changed)]
    line = np.full((len(before), GAP), 255, np.uint8)
    return np.concatenate([part for image in shown for part in (image, line)][:-1], axis=1)


def save(name: str, shown: np.ndarray) -> None:
    Pillow.fromarray(shown).save(FOLDER / f"{name}.webp", quality=QUALITY, method=6)


def clip(recording: Recording, folder: Path, out: Path) -> None:
    """The recording before and after, moving."""
    images = frames_of(recording, folder, CLIP_FRAMES)
    with closing(ProtectedEngine(open_engine(MODEL))) as engine:
        outputs = [np.array(engine.run(image)) for image in images]
    rows, columns = window(recording, images[0].shape)
    line = np.full((rows.stop - rows.start, GAP), 255, np.uint8)
    shown = [
        Pillow.fromarray(np.concatenate([to_uint8(a[rows, columns]), line, to_uint8(b[rows, columns])], axis=1))
        for a, b in zip(images, outputs, strict=True)
    ]
    shown[0].save(out, save_all=True, append_images=shown[1:], duration=40, loop=0, quality=CLIP_QUALITY, method=6)


def restored(model: str, images: list[Image]) -> Image:
    """The last of consecutive frames, as a stream would show it."""
    with closing(ProtectedEngine(open_engine(model))) as engine:
        return [np.array(engine.run(image)) for image in images][-1]


def row(name: str, found: dict[str, float]) -> str:
    cells = [f"{found[key]:.{measures()[key].digits}f}" if math.isfinite(found[key]) else "–" for key in KEYS]
    return f"| {name} | {' | '.join(cells)} |"


def table(rows: dict[str, dict[str, float]]) -> str:
    """Figures of what is shown, line by line."""
    heading = " | ".join(measures()[key].heading for key in KEYS)
    lines = [f"| | {heading} |", f"|---|{'--:|' * len(KEYS)}", *(row(name, found) for name, found in rows.items())]
    return "\n".join(lines)


def entry(recording: Recording, figures: dict[str, Any]) -> str:
    """The recording's part of the page."""
    gain = f" All panels {recording.gain:g} times as bright." if recording.gain != 1 else ""
    return f"""## {recording.title}

![{recording.title}: input, {figures["method"]}, {MODEL}, difference](pictures/{recording.name}.webp)

{table({figures["method"]: figures["classical"], "**ours**": figures["ours"]})}

{recording.remark}{gain} Source: <{recording.source}> ({recording.licence}).
"""


def large_entry(recording: Recording, figures: dict[str, Any]) -> str:
    """The recording through the large model, for the page's second part."""
    return f"""### {recording.title}, large

![{recording.title}: input, {MODEL}, {LARGE}, difference](pictures/{recording.name}-large.webp)

{table({f"`{MODEL}`": figures["ours"], f"`{LARGE}`": figures["large"]})}

{LARGE_REMARKS[recording.name]}
"""


def page(entries: list[str], large: list[str]) -> str:
    return f"""# Pictures

Twelve recordings that no model of ours was trained on, through `{MODEL}`. From left to right: the input; the classical
filter that keeps most structure with no more speckle left than ours (non-local means that leave as much, where there is
no structure to measure); ours; and the difference of ours to the input,
{STRONGER} times as strong, around grey. What was taken away should look like speckle: a line in the last panel is
anatomy lost. All panels of a picture have one gain, pixels are the recording's own, and nothing is matched before it is
measured ([what the figures mean](train.md#what-the-measures-mean)).

![The {CLIP} before and after, moving](pictures/{CLIP}-moving.webp)

Made by `python bench/pictures.py FOLDER`, which names every source and licence, with the weights that ship.

{chr(10).join(entries)}
## Through the large model

From left to right: the input; `{MODEL}`; `{LARGE}`, with six times its arithmetic;
and the difference of the latter to the input, as above.

{chr(10).join(large)}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="recordings")
    folder = parser.parse_args().folder
    FOLDER.mkdir(exist_ok=True)
    found, entries, large_entries = {}, [], []
    for recording in RECORDINGS:
        images = frames_of(recording, folder, recording.frame + 1)
        part = window(recording, images[-1].shape)
        before, ours = (np.ascontiguousarray(image[part]) for image in (images[-1], restored(MODEL, images)))
        own = measure_frame(BeforeAfter(before, ours), KEYS)
        setting, classical = rival(before, own["speckle_left"])
        figures = {
            "method": setting.method,
            "parameters": setting.parameters,
            "classical": measure_frame(BeforeAfter(before, classical), KEYS),
            "ours": own,
        }
        save(recording.name, panels(before, classical, ours, recording.gain))
        if recording.name in LARGE_REMARKS:
            large = np.ascontiguousarray(restored(LARGE, images)[part])
            figures["large"] = measure_frame(BeforeAfter(before, large), KEYS)
            save(f"{recording.name}-large", panels(before, ours, large, recording.gain))
            large_entries.append(large_entry(recording, figures))
        found[recording.name] = figures | {"recording": asdict(recording)}
        entries.append(entry(recording, figures))
        print(recording.name, setting.label, figures["ours"], flush=True)  # noqa: T201
    clip(next(one for one in RECORDINGS if one.name == CLIP), folder, FOLDER / f"{CLIP}-moving.webp")
    PAGE.write_text(page(entries, large_entries), encoding="utf-8")
    result = {"command": "python bench/pictures.py FOLDER", "model": MODEL, "pictures": found, "host": host_profile()}
    RESULT.write_text(json.dumps(plain(result), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
