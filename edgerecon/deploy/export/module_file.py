"""A torch module of the user's own, written as a plain ONNX file that ``adopt`` then takes in.

The Python file is run, as Python runs any file that it is given. Its weights are not: they are read as tensors alone.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgerecon.core.errors import DataError, ModelError, UsageError, first_line, needed
from edgerecon.core.files import read
from edgerecon.deploy.export.network_file import quiet
from edgerecon.workshop.weights_file import read_weights

OPSET = 18
_MAX_BYTES = 1 << 30
_TRIED = ((1, 1), (1, 3))
"""Batch and channels of the input, the likelier first."""
_SIZE = (128, 192)
_NESTED = ("state_dict", "model", "params", "params_ema", "net")
"""Keys under which checkpoints keep the weights of a network."""


def write_module(text: str, weights: Path | None, out: Path) -> None:
    """Load FILE.py:CLASS with its weights and write it as ONNX.

    Args:
        text: the class is called without arguments; a function that returns a module does as well. weights: a
            ``.safetensors`` file, or a checkpoint that holds tensors and plain values alone; None: as the class makes
            them, alike every time. out: ONNX file.

    Raises:
        UsageError: there is no such file or class, or it draws its weights at random and none are given.
        DataError: the weights cannot be read, or are another network's.
        ModelError: the class fails, or the module does not run on a picture or cannot be exported.
    """
    module = _made(text)
    if weights is not None:
        _load(module, weights)
    module.eval()
    example = _example(module, text)
    if weights is None and _is_drawn(module, _made(text)):
        raise UsageError(f"{text} draws its weights at random: say with --weights where the trained ones are")
    try:
        with quiet():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["input"],
                output_names=["output"],
                dynamic_shapes=({2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},),
                verbose=False,
            )
            assert program is not None
            out.write_bytes(program.model_proto.SerializeToString())
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the exporter raises what its passes raise
        raise ModelError(f"{text} cannot be exported: {first_line(error)}") from None


def _made(text: str) -> nn.Module:
    path, _, name = text.rpartition(":")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise UsageError(f"there is no Python file {path}: give FILE.py:CLASS")
    namespace = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(namespace)
        maker = getattr(namespace, name, None)
        if not callable(maker):
            known = [key for key, value in vars(namespace).items() if inspect.isclass(value) and _is_own(value, spec)]
            raise UsageError(f"{path} has no class {name}: choose one of {', '.join(known) or 'none'}")
        module = maker()
    except UsageError:
        raise
    except SystemExit as error:
        raise ModelError(f"{text} fails: {first_line(error)}") from None
    except Exception as error:  # noqa: BLE001 - it is the user's own code, which may raise anything
        raise ModelError(f"{text} fails: {type(error).__name__}: {first_line(error)}") from None
    if not isinstance(module, nn.Module):
        raise UsageError(f"{text} makes no torch module: give a class that is one")
    return module


def _is_drawn(module: nn.Module, again: nn.Module) -> bool:
    """Whether the same class has made other weights the second time."""
    pairs = zip(module.state_dict().values(), again.state_dict().values(), strict=False)
    return not all(torch.equal(one, other) for one, other in pairs if isinstance(one, Tensor))


def _is_own(value: type, spec: Any) -> bool:
    return value.__module__ == spec.name and issubclass(value, nn.Module)


def _load(module: nn.Module, path: Path) -> None:
    found = _weights(path)
    for key in _NESTED:
        if isinstance(found.get(key), Mapping):
            found = found[key]
            break
    tensors = {name.removeprefix("module."): value for name, value in found.items() if isinstance(value, Tensor)}
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise DataError(f"{path} holds the weights of another network: {' '.join(lines[1:2])}") from None


def _weights(path: Path) -> Mapping[str, Any]:
    found = _safetensors(path) if path.suffix == ".safetensors" else read_weights(path)
    if not isinstance(found, Mapping):
        raise DataError(f"{path} holds no weights by name: save module.state_dict()")
    return found


def _safetensors(path: Path) -> Mapping[str, Any]:
    with needed("train", "safetensors"):
        from safetensors.torch import load
    try:
        return load(read(path, _MAX_BYTES))
    except OSError as error:
        raise DataError(f"cannot read the weights {path}: {error.strerror or error}") from None
    except Exception as error:  # noqa: BLE001 - the reader raises whatever the damage leads to
        raise DataError(f"{path} is no file of safetensors, or it is damaged: {first_line(error)}") from None


def _example(module: nn.Module, text: str) -> Tensor:
    reasons = []
    for shape in _TRIED:
        example = torch.full((*shape, *_SIZE), 0.5)
        try:
            with torch.inference_mode():
                module(example)
            return example
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the user's own code
            reasons.append(first_line(error))
    raise ModelError(f"{text} does not run on a picture of 1 or 3 channels of {_SIZE[0]}×{_SIZE[1]}: {reasons[0]}")
