"""Weights that torch wrote, read without running any code that is in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from edgerecon.core.errors import DataError


def read_weights(path: Path) -> Any:
    """What ``torch.save`` wrote of tensors and plain values, on the CPU.

    torch's own words are not passed on: of other objects they advise to load them as code.

    Raises:
        DataError: it cannot be read, is damaged, or holds other objects, which would run code.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no plain file")  # a FIFO would be waited for
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"cannot read the weights {path}: {error.strerror or error}") from None
    except Exception as error:  # torch.load raises whatever the damage leads to
        raise DataError(
            f"{path} is damaged, or holds no weights that are tensors alone, and nothing else is loaded: save "
            "module.state_dict() with torch.save"
        ) from error
