"""What a bundle asks of the model that it packs: of its recipe, or of the ONNX file itself, where it was adopted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgerecon.core.checksums import sha256
from edgerecon.core.errors import RecipeError, UsageError
from edgerecon.deploy.adopt.proof import TOLERANCE
from edgerecon.deploy.bundle.bundle_config import check_archive_name
from edgerecon.deploy.difference import allowed
from edgerecon.modelfile.file import ModelFile, read_model
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.recipe_tables import ShapesTable

_SIZES = (128, 160), (101, 131)
OF_ITS_AUTHOR = "LicenseRef-of-its-author"
"""SPDX for weights whose author named no licence."""


@dataclass(frozen=True)
class PackedModel:
    """A model and what its self-test needs.

    Attributes:
        first: its fp32 file; of an adopted model the one file, whatever it holds. Its others stand beside it.
        sizes: (H, W) of the frames of the self-test.
        limit: largest difference between the device and ONNX Runtime here that is allowed, see
            ``edgerecon.deploy.difference``.
        derived_limit: the same of its files in another precision; None: the recipe gives none.
        made_from: SHA-256 of the recipe, or of the file that was adopted. origin: the same in words. licence: SPDX.
    """

    first: ModelFile
    sizes: Sequence[tuple[int, int]]
    limit: float
    derived_limit: float | None
    made_from: str
    origin: str
    licence: str

    @property
    def name(self) -> str:
        """Of its first file, without ".onnx"."""
        return self.first.path.stem

    @property
    def precision(self) -> str:
        """Of its first file."""
        return self.first.spec.precision

    def tolerance(self, precision: str) -> float:
        """Largest difference allowed in a precision.

        Raises:
            RecipeError: the recipe gives none.
        """
        limit = self.limit if precision == self.precision else self.derived_limit
        if limit is None:
            raise RecipeError(
                f"gates.max_difference: give it in the recipe of {self.name}; the self-test of a bundle in "
                f"{precision} needs it"
            )
        return limit


def of_recipe(recipe: Recipe, folder: Path) -> PackedModel:
    """The model of a recipe, whose fp32 file is in a folder.

    Raises:
        ModelError: the file is missing or broken. UsageError: it does not hold fp32, or its name cannot be a bundle's.
    """
    check_archive_name(recipe.model.name)
    reference = read_model(folder / f"{recipe.model.name}.onnx")
    if reference.spec.precision != "fp32":
        raise UsageError(f"{reference.path.name} holds {reference.spec.precision}, not fp32: export it again")
    gates, made_from = recipe.gates, reference.spec.recipe_hash
    return PackedModel(
        first=reference,
        sizes=_sizes(recipe.shapes),
        limit=gates.max_abs_error,
        derived_limit=gates.max_difference,
        made_from=made_from,
        origin=f"recipe `{made_from[:16]}`",
        licence=recipe.model.licence or OF_ITS_AUTHOR,
    )


def of_file(path: Path) -> PackedModel:
    """An ONNX file of ours that has no recipe, since `edgerecon adopt` made it.

    Raises:
        ModelError: the file is missing or broken. UsageError: its name cannot be a bundle's.
    """
    check_archive_name(path.stem)
    model = read_model(path)
    made_from = model.spec.recipe_hash or sha256(model.content)
    return PackedModel(
        first=model,
        sizes=[model.spec.tile] if model.spec.tile else _SIZES,
        limit=allowed(model.spec, TOLERANCE[model.spec.precision]),
        derived_limit=allowed(model.spec, TOLERANCE["int8"]),
        made_from=made_from,
        origin=f"adopted file `{made_from[:16]}`",
        licence=OF_ITS_AUTHOR,
    )


def _sizes(shapes: ShapesTable) -> list[tuple[int, int]]:
    """The fixed size, or the smallest one and an odd one, which is padded."""
    if shapes.fixed:
        return [shapes.fixed]
    odd = [min(low + more, high) for low, high, more in zip(shapes.min, shapes.max, (37, 67), strict=True)]
    return [shapes.min, (odd[0], odd[1])]
