"""Simulated pairs in memory (HDF5, layout "edgerecon-pairs/1"): images, or parts of an aperture and an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError, first_line, needed
from edgerecon.core.frame import to_unit
from edgerecon.workshop.data.augment import Augment
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.recipe_tables import TrainTable

FORMAT = "edgerecon-pairs/1"
Pixels = NDArray[Any]
Batch = NDArray[np.float32]


@dataclass(frozen=True)
class Pairs:
    """Images of several fields that show the same scenes.

    Attributes:
        fields: name → uint8 (N, H, W), 255 being 1.0, or float16 (N, C, H, W); item i of every field shows the same.
        scenes: int64 (N,), the scene that each image shows; the frames of a sequence share one.
    """

    fields: dict[str, Pixels]
    scenes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scenes)

    def tensor(self, name: str, window: slice) -> Batch:
        """Some of a field, float32 (N, C, H, W)."""
        values = self.fields[name][window]
        return values.astype(np.float32) if values.ndim == 4 else np.divide(values[:, None], 255, dtype=np.float32)

    def subset(self, chosen: NDArray[np.bool_]) -> Pairs:
        """The pairs where ``chosen``, a mask over the samples, is true."""
        return Pairs({name: images[chosen] for name, images in self.fields.items()}, self.scenes[chosen])


def load_pairs(path: str | Path, fields: Sequence[str], made_by: str = "") -> Pairs:
    """Read whole fields into memory, as they are kept.

    Args:
        fields: names of the datasets of each scene. made_by: the command that makes the file, for the error.

    Raises:
        DataError: missing or corrupt file, another layout, an absent field, or images that differ in size.
        DependencyError: h5py is not installed.
    """
    with needed("train", "h5py"):
        import h5py
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist: " + (f"make it with  {made_by}" if made_by else "check its path"))
    images: dict[str, list[Pixels]] = {name: [] for name in fields}
    scenes: list[int] = []
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise DataError(f"{path} is HDF5 but not of layout {FORMAT}: make it with  edgerecon simulate")
            for scene, sample in enumerate(sorted(key for key in file if key.startswith("sample_"))):
                frames = {name: _read(file[sample], name, path) for name in fields}
                if len({(len(array), *array.shape[-2:]) for array in frames.values()}) != 1:
                    raise DataError(f"{path}: the fields of {sample} differ in shape")
                for name, array in frames.items():
                    images[name].extend(array)
                scenes.extend([scene] * len(next(iter(frames.values()))))
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError(f"{path} is corrupt or not HDF5 ({first_line(error)}): make it anew") from None
    if not scenes:
        raise DataError(f"{path} holds no samples")
    if len({image.shape for image in images[fields[0]]}) != 1:
        raise DataError(f"{path}: its samples differ in size")
    return Pairs({name: np.stack(stack) for name, stack in images.items()}, np.array(scenes))


def _read(sample: Any, name: str, path: Path) -> Pixels:
    """One field of one sample, as uint8 (T, H, W), or float16 (1, C, H, W)."""
    known = list(sample) if hasattr(sample, "keys") else []
    if name not in known:
        raise DataError(f"{path} has no field '{name}': it has {', '.join(known) or 'none'}")
    array = np.asarray(sample[name])
    if array.dtype == np.float16 and array.ndim == 3 and array.size:
        return array[None]
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.size == 0:
        raise DataError(f"{path}: field '{name}' must be uint8 H×W or T×H×W, not {array.dtype} {array.shape}")
    return array if array.ndim == 3 else array[None]


def split_by_scene(pairs: Pairs, validation: float) -> tuple[Pairs, Pairs]:
    """Training and validation pairs that share no scene.

    Every k-th scene is held out, k = round(1 / validation): scenes are independent draws, and a file that is extended
    keeps its split.

    Raises:
        DataError: too few scenes for both parts.
    """
    every = max(2, round(1 / validation))
    held_out = pairs.scenes % every == every - 1
    if not held_out.any() or held_out.all():
        count = len(np.unique(pairs.scenes))
        raise DataError(f"{count} scenes are too few to hold out 1 in {every}: add scenes, or raise data.validation")
    return pairs.subset(~held_out), pairs.subset(held_out)


def crop_parts(parts: Pixels, image: Pixels, side: int, rng: np.random.Generator) -> tuple[Batch, Batch]:
    """A random crop of an aperture's parts (2K, H, W) and of its picture, mirrored in half of the cases: then the parts
    change places with it. Grey levels stay: gain is nothing to a network that is homogeneous."""
    top, left = (int(rng.integers(length - side + 1)) for length in image.shape)
    window = (slice(top, top + side), slice(left, left + side))
    a, b = parts[:, window[0], window[1]].astype(np.float32), to_unit(image[window])
    if rng.random() < 0.5:
        a = a.reshape(2, -1, side, side)[:, ::-1, :, ::-1].reshape(a.shape)
        b = b[:, ::-1]
    return a, b


@dataclass(frozen=True)
class Share:
    """Pairs that a part of the crops, ``weight``, comes from: input fields, equally probable, and the target field."""

    pairs: Pairs
    inputs: tuple[str, ...]
    target: str
    weight: float


class CropSampler:
    """Endless batches of random crops; the same generator state gives the same batches.

    Args:
        pairs: what to draw from. inputs: input fields, drawn with equal probability. target: target field.
        augment: how a crop is made. batch: crops a batch. rng: the only source of chance.
        mixed: further pairs and the part of the crops that each gives.

    Attributes:
        plain: how many crops, the first of each batch, stay as they were simulated (``AugmentTable.share``).

    Raises:
        DataError: the images are smaller than a crop.
    """

    def __init__(
        self,
        pairs: Pairs,
        inputs: Sequence[str],
        target: str,
        augment: Augment,
        batch: int,
        rng: np.random.Generator,
        mixed: Sequence[Share] = (),
    ) -> None:
        rest = 1 - sum(share.weight for share in mixed)
        self.shares = (Share(pairs, tuple(inputs), target, rest), *mixed)
        for share in self.shares:
            height, width = share.pairs.fields[share.target].shape[-2:]
            if min(height, width) < augment.crop:
                size = f"{height}×{width}"
                raise DataError(f"images of {size} are smaller than the crop of {augment.crop}: lower train.crop")
        self.pairs, self.inputs, self.target = pairs, tuple(inputs), target
        self.augment, self.batch, self.rng = augment, batch, rng
        self.plain = batch - round(augment.table.share * batch)
        self._crop_and_flip = augment.without_changes()

    @property
    def channels(self) -> int:
        """Of the inputs."""
        field = self.pairs.fields[self.inputs[0]]
        return int(field.shape[1]) if field.ndim == 4 else 1

    def draw(self) -> tuple[Batch, Batch]:
        """Inputs and targets, float32 (batch, 1, crop, crop) in [0, 1]; inputs of C channels (batch, C, crop, crop)."""
        side = self.augment.crop
        source = np.empty((self.batch, self.channels, side, side), np.float32)
        target = np.empty((self.batch, 1, side, side), np.float32)
        for slot in range(self.batch):
            share = self._share()
            image, field = self.rng.integers(len(share.pairs)), self.rng.integers(len(share.inputs))
            before = share.pairs.fields[share.inputs[field]][image]
            after = share.pairs.fields[share.target][image]
            if before.ndim == 3:
                source[slot], target[slot, 0] = crop_parts(before, after, side, self.rng)
                continue
            augment = self._crop_and_flip if slot < self.plain else self.augment
            source[slot, 0], target[slot, 0] = augment(before, after, self.rng)
        return source, target

    def _share(self) -> Share:
        if len(self.shares) == 1:
            return self.shares[0]
        return self.shares[int(self.rng.choice(len(self.shares), p=[share.weight for share in self.shares]))]


def training_data(recipe: Recipe, table: TrainTable, data: Path | None) -> tuple[CropSampler, Pairs]:
    """Crops of the scenes that a recipe's network learns from, and whole the scenes that it is validated on.

    Args:
        table: of this training, for its seed, crop and batch. data: HDF5 pairs; None: the recipe's file.

    Raises:
        DataError, DependencyError: see ``load_pairs``, ``split_by_scene`` and ``CropSampler``.
    """
    fields = tuple(dict.fromkeys((*recipe.data.inputs, recipe.data.target)))
    made_by = "" if data else recipe.data.simulate
    pairs, held_out = split_by_scene(load_pairs(data or recipe.data.file, fields, made_by), recipe.data.validation)
    mixed = [
        Share(
            load_pairs(other.file, tuple(dict.fromkeys((*other.inputs, other.target))), other.simulate),
            other.inputs,
            other.target,
            other.weight,
        )
        for other in recipe.data.mixed
    ]
    augment, rng = Augment(recipe.augment, table.crop), np.random.default_rng(table.seed)
    return CropSampler(pairs, recipe.data.inputs, recipe.data.target, augment, table.batch, rng, mixed), held_out
