from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from edgerecon.core.errors import DataError
from edgerecon.workshop.data.augment import Augment
from edgerecon.workshop.data.datasets import CropSampler, Pairs, Share, load_pairs, split_by_scene
from edgerecon.workshop.recipe_tables import AugmentTable, DataTable


def _write(path: Path, samples: int = 6, frames: int = 0, size: int = 24, form: str = "edgerecon-pairs/1") -> Path:
    """Every pixel of a sample holds its number; pw1 is that plus 100."""
    shape = (frames, size, size) if frames else (size, size)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = form
        for index in range(samples):
            group = file.create_group(f"sample_{index:05d}")
            group["clean"] = np.full(shape, index, np.uint8)
            group["pw1"] = np.full(shape, index + 100, np.uint8)
    return path


def test_images_and_sequences_load_alike(tmp_path: Path) -> None:
    pairs = load_pairs(_write(tmp_path / "a.h5"), ["clean", "pw1"])
    assert pairs.fields["pw1"].shape == (6, 24, 24) and pairs.fields["pw1"][3, 0, 0] == 103
    pairs = load_pairs(_write(tmp_path / "b.h5", frames=4), ["clean"])
    assert pairs.fields["clean"].shape == (24, 24, 24)
    assert pairs.scenes.tolist() == [scene for scene in range(6) for _ in range(4)]


def test_no_scene_is_split(tmp_path: Path) -> None:
    pairs = load_pairs(_write(tmp_path / "a.h5", samples=20, frames=3), ["clean"])
    train, held_out = split_by_scene(pairs, 0.2)
    assert set(train.scenes) & set(held_out.scenes) == set()
    assert len(train) + len(held_out) == 60 and len(np.unique(held_out.scenes)) == 4
    assert set(np.unique(held_out.fields["clean"])) == set(held_out.scenes)
    longer = load_pairs(_write(tmp_path / "b.h5", samples=40), ["clean"])
    assert set(held_out.scenes) == {scene for scene in split_by_scene(longer, 0.2)[1].scenes if scene < 20}


def test_too_few_scenes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few .* raise data.validation"):
        split_by_scene(load_pairs(_write(tmp_path / "a.h5", samples=3), ["clean"]), 0.1)


def test_an_absent_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    made_by = "edgerecon simulate a.h5 --samples 5"
    with pytest.raises(DataError, match=f"make it with  {made_by}$"):
        load_pairs(tmp_path / "a.h5", ["clean"], made_by)
    with pytest.raises(DataError, match="check its path"):
        load_pairs(tmp_path / "a.h5", ["clean"])


def test_crops_pair_the_same_image_and_repeat() -> None:
    levels = np.arange(50, dtype=np.uint8)[:, None, None] * np.ones((1, 24, 24), np.uint8)
    pairs = Pairs({"pw1": levels + 100, "pw3": levels + 200, "clean": levels}, np.arange(50))

    def batches() -> list[tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(4)
        sampler = CropSampler(pairs, ["pw1", "pw3"], "clean", Augment(AugmentTable(), 16), 8, rng)
        return [sampler.draw() for _ in range(20)]

    first = batches()
    difference = np.rint(np.concatenate([(a - b)[:, 0, 0, 0] for a, b in first]) * 255)
    assert set(difference) == {100, 200}
    assert 50 < (difference == 100).sum() < 110
    assert first[0][0].shape == (8, 1, 16, 16) and first[0][0].dtype == np.float32
    for one, other in zip(first, batches(), strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_parts_of_an_aperture_are_cropped_and_mirrored(tmp_path: Path, rng: np.random.Generator) -> None:
    """A mirrored picture has its parts in the reverse order; real and imaginary parts stay apart."""
    parts, image = rng.random((6, 24, 24)).astype(np.float16), rng.integers(0, 256, (24, 24), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["format"] = "edgerecon-pairs/1"
        group = file.create_group("sample_00000")
        group["parts"], group["pw31"] = parts, image
    pairs = load_pairs(tmp_path / "a.h5", ["parts", "pw31"])
    source, target = CropSampler(pairs, ["parts"], "pw31", Augment(AugmentTable(), 24), 8, rng).draw()
    assert source.shape == (8, 6, 24, 24) and target.shape == (8, 1, 24, 24)
    np.testing.assert_array_equal(pairs.tensor("parts", slice(1))[0], parts.astype(np.float32))
    mirrored = parts[[2, 1, 0, 5, 4, 3], :, ::-1].astype(np.float32), image[:, ::-1].astype(np.float32) / 255
    plain = parts.astype(np.float32), image.astype(np.float32) / 255
    seen = set()
    for a, b in zip(source, target[:, 0], strict=True):
        which = int(np.allclose(b, mirrored[1]))
        seen.add(which)
        np.testing.assert_array_equal(a, (plain, mirrored)[which][0])
        np.testing.assert_allclose(b, (plain, mirrored)[which][1], rtol=1e-6)
    assert seen == {0, 1}


def test_part_of_a_batch_stays_as_simulated() -> None:
    image = np.full((4, 32, 32), 200, np.uint8)
    table = AugmentTable(share=0.75, gain=(0.2, 0.6))
    sampler = CropSampler(
        Pairs({"clean": image}, np.arange(4)), ["clean"], "clean", Augment(table, 16), 8, np.random.default_rng(1)
    )
    levels = np.rint(255 * sampler.draw()[0][:, 0, 0, 0])
    assert sampler.plain == 2 and (levels[:2] == 200).all() and (levels[2:] <= 120).all()


def test_mixed_files_give_their_part_of_the_crops(rng: np.random.Generator) -> None:
    own = Pairs({"clean": np.full((4, 24, 24), 10, np.uint8)}, np.arange(4))
    other = Pairs({"expected": np.full((2, 32, 32), 200, np.uint8)}, np.arange(2))
    mixed = [Share(other, ("expected",), "expected", 0.25)]
    sampler = CropSampler(own, ["clean"], "clean", Augment(AugmentTable(), 16), 400, rng, mixed)
    source, target = sampler.draw()
    np.testing.assert_array_equal(source, target)
    assert (source[:, 0, 0, 0] > 0.5).mean() == pytest.approx(0.25, abs=0.08)


def test_mixed_weights_leave_room_for_the_file() -> None:
    other = {"simulate": "-", "file": "b.h5", "inputs": ("pw31",), "target": "clean", "weight": 0.6}
    own = {"simulate": "-", "file": "a.h5", "inputs": ("pw31",), "target": "clean"}
    assert len(DataTable(**own, mixed=(other,)).mixed) == 1
    with pytest.raises(ValueError, match="less than 1"):
        DataTable(**own, mixed=(other, other))


def test_crop_larger_than_the_images(rng: np.random.Generator) -> None:
    pairs = Pairs({"clean": np.zeros((3, 24, 24), np.uint8)}, np.arange(3))
    with pytest.raises(DataError, match="train.crop"):
        CropSampler(pairs, ["clean"], "clean", Augment(AugmentTable(), 32), 1, rng)


def test_files_that_are_not_pairs(tmp_path: Path) -> None:
    good = _write(tmp_path / "good.h5")
    (tmp_path / "empty.h5").touch()
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "cut.h5").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    _write(tmp_path / "other.h5", form="something-else")
    _write(tmp_path / "none.h5", samples=0)
    uneven = _write(tmp_path / "uneven.h5")
    floats = _write(tmp_path / "floats.h5")
    flat = _write(tmp_path / "flat.h5")
    differing = _write(tmp_path / "differing.h5")
    with h5py.File(uneven, "r+") as file:
        group = file.create_group("sample_00099")
        group["clean"] = group["pw1"] = np.zeros((8, 8), np.uint8)
    with h5py.File(floats, "r+") as file:
        del file["sample_00002/clean"]
        file["sample_00002/clean"] = np.zeros((24, 24), np.float32)
    with h5py.File(flat, "r+") as file:
        del file["sample_00002"]
        file["sample_00002"] = np.zeros(4)
    with h5py.File(differing, "r+") as file:
        del file["sample_00001/pw1"]
        file["sample_00001/pw1"] = np.zeros((2, 24, 24), np.uint8)
    for name in ("absent", "empty", "text", "cut", "other", "none", "uneven", "floats", "flat", "differing"):
        with pytest.raises(DataError) as caught:
            load_pairs(tmp_path / f"{name}.h5", ["clean", "pw1"])
        assert "\n" not in str(caught.value) and name in str(caught.value)
    with pytest.raises(DataError, match="no field 'pw9': it has clean, pw1"):
        load_pairs(good, ["clean", "pw9"])
