"""The page of pictures says what was measured, and every picture is there and small."""

from __future__ import annotations

import json
import math

import numpy as np

from bench import pictures
from edgerecon.quality.evaluate.sweep import Setting


def test_the_page_is_made_from_the_result() -> None:
    found = json.loads(pictures.RESULT.read_text(encoding="utf-8"))["pictures"]
    entries, large = [], []
    for name, one in found.items():
        for part in {"ours", "classical", "large"} & set(one):
            one[part] = {key: math.nan if value is None else value for key, value in one[part].items()}
        recording = pictures.Recording(**one["recording"])
        entries.append(pictures.entry(recording, one))
        if name in pictures.LARGE_REMARKS:
            large.append(pictures.large_entry(recording, one))
    assert pictures.page(entries, large) == pictures.PAGE.read_text(encoding="utf-8")


def test_every_picture_is_there_and_the_set_is_small() -> None:
    files = {path.stem: path.stat().st_size for path in pictures.FOLDER.glob("*.webp")}
    large = {f"{name}-large" for name in pictures.LARGE_REMARKS}
    assert set(files) == {one.name for one in pictures.RECORDINGS} | large | {f"{pictures.CLIP}-moving"}
    assert len(pictures.RECORDINGS) == 12
    assert sum(files.values()) < 3e6


def test_panels_have_one_gain_and_the_difference_is_grey() -> None:
    image = np.full((8, 8), 0.25, np.float32)
    shown = pictures.panels(image, image, image + np.float32(0.01), gain=2.0)
    before, _, ours, changed = (shown[:, at : at + 8] for at in range(0, 4 * 12, 12))
    assert (before == 128).all() and (ours == 133).all() and (changed == 138).all()


def test_without_structure_the_rival_leaves_as_much_speckle() -> None:
    settings = [
        Setting(method, {"h": left}, {"shown": [{"speckle_left": left}]})
        for method, left in (("median", 0.4), ("non-local means", 0.2), ("non-local means", 0.5))
    ]
    assert min(settings, key=lambda one: pictures._distance(one, 0.4)) is settings[2]
