"""What recordings give to adapt to, and which displays look like them."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from edgerecon.core.errors import DataError, ModelError, SourceError
from edgerecon.core.shipped import resource_dir
from edgerecon.modelfile.file import read_model
from edgerecon.workshop.adapt import recordings
from edgerecon.workshop.adapt.matched import choose, write_matched
from edgerecon.workshop.adapt.recordings import LEAST_FRAMES, read_recordings
from edgerecon.workshop.adapt.statistics import PATCH, describe, distances
from edgerecon.workshop.adapt.tune import PLAN, read_weights, tune
from edgerecon.workshop.data.datasets import load_pairs
from edgerecon.workshop.recipe import load_recipe

EXPORT = resource_dir("export")


def speckle(seed: int, high: float = 1.0, wide: float = 2.0, side: int = PATCH, level: float = 60.0) -> np.ndarray:
    """Rayleigh speckle of a grain, uint8."""
    random = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(random.normal(0, 1, (side, side, 2)), (0, 0), wide, sigmaY=high)
    echo = np.hypot(noise[..., 0], noise[..., 1])
    return np.clip(level * echo / echo.mean(), 0, 255).astype(np.uint8)


def recorded(path: Path, frames: list[np.ndarray]) -> str:
    np.savez(path, frames=np.stack(frames))
    return str(path)


def test_numbers_tell_grain_and_levels() -> None:
    fine, coarse = (describe(speckle(0, *grain) / np.float32(255)) for grain in ((0.7, 1.0), (2.0, 5.0)))
    assert coarse[0] > fine[0] + 0.5 and coarse[1] > fine[1] + 0.8
    dark = describe(speckle(0, level=20) / np.float32(255))
    assert (dark[2:5] < fine[2:5]).all()


def test_the_nearest_of_every_patch_are_chosen_by_turns() -> None:
    apart = np.array([[0.0, 1, 2, 3], [3, 2, 1, 0.5]])
    assert choose(apart, 2).tolist() == [0, 3]
    assert sorted(choose(apart, 4)) == [0, 1, 2, 3]


def test_displays_of_the_same_grain_are_kept(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "displays.h5", "w") as file:
        file.attrs["format"] = "edgerecon-pairs/1"
        for index in range(40):
            shown = speckle(index, *((0.7, 1.0) if index % 2 else (2.0, 5.0)), side=160)
            file[f"sample_{index:05d}/shown"] = file[f"sample_{index:05d}/expected"] = shown
    looks = np.stack([describe(speckle(100 + index, 2.0, 5.0) / np.float32(255)) for index in range(3)])
    nearer = write_matched(tmp_path / "displays.h5", looks, tmp_path / "matched.h5")
    pairs = load_pairs(tmp_path / "matched.h5", ("shown", "expected"))
    widths = [describe(shown[16:144, 16:144] / np.float32(255))[1] for shown in pairs.fields["shown"]]
    assert len(pairs) == 8 and min(widths) > 1 and nearer < 0.8
    assert distances(looks, looks).diagonal().max() == 0


def test_half_of_the_frames_judge_and_the_others_teach(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.npz", [speckle(step, side=200) for step in range(6)])
    material = read_recordings([path])
    assert len(material.frames) == 3 and len(material.patches) >= 3
    assert material.looks.shape == (len(material.patches), 8)
    assert len(read_recordings([str(tmp_path)]).frames) == 3, "a folder is its files"


def test_frame_counts_once_wherever_it_is_seen(tmp_path: Path) -> None:
    frames = [speckle(step, side=200) for step in range(4)]
    recorded(tmp_path / "a.npz", [*frames, *frames[::-1]])
    recorded(tmp_path / "b.npz", frames)
    material = read_recordings([str(tmp_path), str(tmp_path / "a.npz")])
    assert len(material.frames) == 2 and len(np.unique(material.looks, axis=0)) == len(material.patches)


def test_frame_that_holds_nan_is_left_out(tmp_path: Path) -> None:
    frames = [speckle(step, side=200) / np.float32(255) for step in range(6)]
    frames[2][5, 5] = np.nan
    frames[3][:] = np.inf
    material = read_recordings([recorded(tmp_path / "a.npz", frames)])
    assert len(material.frames) == 2 and all(np.isfinite(frame).all() for frame in material.frames)


def test_memory_holds_few_frames_however_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [speckle(step, side=200) for step in range(recordings.LOOKED_AT // 4)]
    paths = [recorded(tmp_path / f"{name}.npz", frames[name::3]) for name in range(3)]
    monkeypatch.setattr(recordings, "RECORDINGS", 2)
    material = read_recordings(paths)
    assert len(material.frames) == recordings.FRAMES_EACH
    shown = [next(at for at, frame in enumerate(frames) if np.allclose(frame / 255, one)) for one in material.frames]
    first = sorted(at for at in shown if at % 3 == 0)
    assert first[-1] - first[0] >= len(frames) // 2, "they are spread over the recording"
    assert {at % 3 for at in shown} == {0, 2}, "and over the recordings"


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([speckle(0, side=200)] * 9, f"too few different frames to adapt to: 1; give {LEAST_FRAMES}"),
        ([speckle(step, side=60) for step in range(6)], "no 128×128 pixels of tissue"),
        ([np.full((200, 200), 90 + step, np.uint8) for step in range(6)], "no 128×128|do not look like ultrasound"),
        ([np.tile(np.arange(200, dtype=np.uint8), (200, 1)) + step for step in range(6)], "do not look like"),
        (
            [
                np.stack([speckle(step, side=200), speckle(9, side=200) // 9, speckle(8, side=200) // 9], -1)
                for step in range(6)
            ],
            "colour all over",
        ),
    ],
    ids=["one frame", "small", "flat", "no speckle", "colour"],
)
def test_what_cannot_be_adapted_to_is_one_line(tmp_path: Path, frames: list[np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_recordings([recorded(tmp_path / "a.npz", frames)])
    assert "\n" not in str(caught.value)


def test_an_empty_folder_holds_no_recordings(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no recordings"):
        read_recordings([str(tmp_path)])


@pytest.mark.parametrize("name", ["compact-despeckle", "compact-despeckle-small"])
def test_weights_of_a_shipped_file_are_its_network(name: str) -> None:
    from edgerecon.workshop.train.checkpoint import new_model

    recipe = load_recipe(EXPORT / f"{name}.toml")
    network = new_model(recipe)
    network.load_state_dict(read_weights(read_model(EXPORT / f"{name}.onnx"), recipe))
    frame = np.random.default_rng(0).random((48, 64), dtype=np.float32)
    from edgerecon.engines import open_engine

    engine = open_engine(name, "onnxruntime", threads=1)
    with torch.no_grad():
        shown = network.eval()(torch.from_numpy(frame)[None, None]).clamp(0, 1)[0, 0].numpy()
    np.testing.assert_allclose(shown, engine.run(frame), atol=2e-5)


def test_weights_of_another_network_are_refused() -> None:
    recipe = load_recipe(EXPORT / "compact-despeckle.toml")
    with pytest.raises(ModelError, match="lacks the weights"):
        read_weights(read_model(EXPORT / "compact-despeckle-small.onnx"), recipe)


def test_nothing_to_go_on_with_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leave --resume out"):
        tune(load_recipe(EXPORT / "compact-despeckle.toml"), tmp_path, 1.0, resume=True)
    assert not (tmp_path / PLAN).exists()
