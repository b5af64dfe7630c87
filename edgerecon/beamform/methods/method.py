"""What a method says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgerecon.beamform.settings import Settings

Complex = NDArray[np.complex64]


@dataclass(frozen=True)
class Method:
    """A way to make one value of what the elements heard.

    Attributes:
        name: as ``--beamform`` spells it. title: for help and tables.
        kernel: whether the kernels do it themselves, by the same name.
        combine: else: (what each element adds, (P, N) complex; which were heard, (P, N) bool; settings) → (P,) complex.
    """

    name: str
    title: str
    kernel: bool = False
    combine: Callable[[Complex, NDArray[np.bool_], Settings], Complex] | None = None
