"""config.json of a bundle: what ``bundle`` decided and ``install``, the self-test and the service rely on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edgerecon.core.config import accepted_by, dotted, first_fault
from edgerecon.core.errors import UsageError
from edgerecon.deploy.bundle.archive import CONFIG, BundleError
from edgerecon.modelfile.variants import check_precision
from edgerecon.stream.picture.crop import parse_crop
from edgerecon.stream.picture.protect import parse_protect

_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class BundleConfig(BaseModel):
    """A bundle's facts.

    Attributes:
        name: of the model, lower case. version: of the edgerecon that made the bundle. device: a profile's name.
        backend, precision, threads: how the engine is opened; threads None: all cores of the device.
        deadline_ms: of the stream; None: the source's frame period.
        strength, protect, crop: as ``edgerecon stream`` takes them.
        model, engine, frames: files of the bundle; engine lies beside the model, or is None.
        tolerance: largest difference between the engine and ONNX Runtime on the fp32 file, grey levels in [0, 1].
        recipe_hash: SHA-256 of the recipe that the model was made from, or of the file that was adopted.
        machine, python: what the lock of its requirements was resolved for; None in bundles without one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    name: str = Field(pattern=_NAME)
    version: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,31}$")
    device: Word
    backend: Word
    precision: Annotated[str, AfterValidator(accepted_by(check_precision))]
    threads: int | None = Field(default=None, ge=1, le=1024)
    deadline_ms: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    strength: float = Field(default=1.0, ge=0, le=1, allow_inf_nan=False)
    protect: Annotated[str, AfterValidator(accepted_by(parse_protect))] = "auto"
    crop: Annotated[str, AfterValidator(accepted_by(parse_crop))] | None = None
    model: FileName
    engine: FileName | None = None
    frames: FileName = "self_test.npz"
    tolerance: float = Field(gt=0, le=1)
    recipe_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    machine: Word | None = None
    python: Word | None = None


@dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """How the model is streamed on the device, as ``edgerecon stream`` takes it.

    Attributes:
        threads: of the engine; None: all cores. deadline_ms: None: the source's frame period.
        strength, protect, crop: see ``BundleConfig``.
    """

    threads: int | None = None
    deadline_ms: float | None = None
    strength: float = 1.0
    protect: str = "auto"
    crop: str | None = None


def check_archive_name(name: str) -> None:
    """Refuse a model's name that cannot be a bundle's: it names the folder, the files and the unit on the device.

    Raises:
        UsageError: anything but small letters, digits, ".", "_" and "-".
    """
    if not re.fullmatch(_NAME, name, re.ASCII) or name.endswith("\n"):
        raise UsageError(
            f"a bundle cannot be named '{name}': rename the model to at most 64 small letters, digits, '.', '_' and "
            "'-', the first one a letter or a digit"
        )


def make_config(**facts: object) -> BundleConfig:
    """A configuration from what a user asked for.

    Raises:
        UsageError: a fact is out of range (it is named).
    """
    try:
        return BundleConfig.model_validate(facts)
    except ValidationError as error:
        raise UsageError(f"this cannot be bundled: {_first(error)}") from None


def parse_config(content: bytes) -> BundleConfig:
    """Read config.json.

    Raises:
        BundleError: not JSON, or a key that is unknown, absent or out of range (it is named).
    """
    try:
        return BundleConfig.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise BundleError(f"the bundle's {CONFIG} is not one that this edgerecon reads: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    keys, reason = first_fault(error, BundleConfig)
    return ": ".join(filter(None, (dotted(keys), reason)))
