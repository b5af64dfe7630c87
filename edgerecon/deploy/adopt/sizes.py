"""The frame sizes on which a network runs: any, multiples of k, or one alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgerecon.core.errors import EdgereconError, ModelError
from edgerecon.deploy.adopt.foreign import ForeignModel, ModelProto, open_session
from edgerecon.deploy.adopt.layout import output_layout
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.ports import TRIED, find_ports, find_result

MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
_ALIKE = 0.01
"""Of an output's spread: how far two runs may differ on what both see alike."""


@dataclass(frozen=True)
class Sizes:
    """What a network takes.

    Attributes:
        multiple: rows and columns are multiples of it. fixed: the only size; None for networks that take any.
        freed: whether the file states one size, and was seen to run on others alike. alike: whether a part of a
            picture comes out as it does in a larger one.
    """

    multiple: int = 1
    fixed: tuple[int, int] | None = None
    freed: bool = False
    alike: bool = True


def find_network(foreign: ForeignModel, output: str | None = None) -> tuple[Network, Sizes]:
    """Open a network with its ports understood and its sizes measured; a stated size or batch is freed where it may be.

    Args:
        output: see ``find_result``.

    Raises:
        ModelError, UsageError: see ``find_ports`` and ``find_result``; or no size of frames runs as the first did.
    """
    stated = _open(foreign.model, output)
    _check_batch(stated)
    fixed = _fixed(stated)
    for model in _freed(foreign.model, stated) if fixed or stated.ports.layout.batch > 1 else ():
        try:
            freed = _open(model, output)
            if _same(stated, freed):
                foreign.model = model
                return freed, replace(_measured(freed), freed=fixed is not None)
        except EdgereconError:  # it needs the size or the batch that it states
            continue
    if fixed:
        return stated, Sizes(1, fixed)
    return stated, replace(_measured(stated), alike=bool(stated.ports.states) or _same(stated, stated, 3 / 4))


def _check_batch(network: Network) -> None:
    """See that pictures of a stated batch do not change each other.

    Raises:
        ModelError: they do: the batch is a sequence.
    """
    if network.ports.layout.batch == 1 or network.ports.states or network.result.kind == "scores":
        return
    pictures = np.random.default_rng(0).random((2, network.ports.layout.channels, *network.ports.size))
    feeds, others = (network.ports.feeds(picture, network.noise_level) for picture in pictures)
    alone = network.output(feeds)
    feeds[network.ports.image.name] = np.concatenate(
        [feeds[network.ports.image.name][:1], others[network.ports.image.name][1:]]
    )
    if np.abs(network.output(feeds) - alone).max() > _ALIKE * alone.std() + 1e-6:
        raise ModelError(
            f"the {network.ports.layout.batch} pictures of a batch of '{network.ports.image.name}' change each other: "
            "a network of a sequence of frames is not taken"
        )


def _open(model: ModelProto, output: str | None) -> Network:
    session = open_session(model)
    ports = find_ports(session)
    return Network(session, ports, find_result(ports, output))


def _fixed(network: Network) -> tuple[int, int] | None:
    lengths = dict(zip(network.ports.layout.axes, network.ports.image.dims, strict=True))
    return network.ports.size if lengths["H"] or lengths["W"] else None


def _freed(model: ModelProto, stated: Network) -> Iterator[ModelProto]:
    """Copies of the model with rows, columns and batch of any number; then with the batch as it is."""
    ports = stated.ports
    names = [ports.image.name, *(state.given.name for state in ports.states), *(port.name for port in ports.noise)]
    for batch in (True, False):
        copy = ModelProto()
        copy.CopyFrom(model)
        del copy.graph.value_info[:]
        for value in copy.graph.input:
            axes = ports.layout.axes if value.name == ports.image.name else "NCHW"
            dims = value.type.tensor_type.shape.dim
            for axis, dim in zip(axes, dims, strict=False) if value.name in names else ():
                if (axis in "HW" or (axis == "N" and batch)) and not (len(dims) < 2 or dim.dim_value == 1):
                    dim.dim_param = f"{value.name}_{axis}"
        for value in copy.graph.output:
            value.type.tensor_type.ClearField("shape")
        yield copy


def _same(stated: Network, freed: Network, share: float = 1 / 2) -> bool:
    """Whether a freed network does on a larger picture what the stated one does on a part of it.

    Args:
        share: of the part, that is compared; what is nearer to its lower and right border sees the rest.
    """
    if stated.ports.states or stated.result.kind == "scores":
        return stated is freed
    height, width = stated.ports.size
    rng = np.random.default_rng(0)
    large = rng.random((2 * height, 2 * width), dtype=np.float32)
    large *= np.linspace(0.2, 1, 2 * width, dtype=np.float32)  # so that a part has another mean than the whole
    part = stated.run(large[:height, :width])
    scale = stated.result.scale
    rows, columns = (slice(0, int(share * scale * length)) for length in (height, width))
    expected, found = part[:, rows, columns], freed.run(large)[:, rows, columns]
    return bool(np.abs(expected - found).max() <= _ALIKE * expected.std() + 1e-6)


def _measured(network: Network) -> Sizes:
    for multiple in MULTIPLES:
        if all(_runs(network, multiple * rows, multiple * columns) for rows, columns in _trials(multiple)):
            return Sizes(multiple)
    raise ModelError(f"it runs on {TRIED[0]}×{TRIED[1]} alone of the sizes tried: export it with a fixed size")


def _trials(multiple: int) -> list[tuple[int, int]]:
    """Odd and even multiples, about 64 × 96 pixels; rows and columns differ, so that they can be told apart."""
    rows, columns = 64 // multiple, 96 // multiple
    return [(rows + 1, columns + 2), (rows + 2, columns + 3)]


def _runs(network: Network, height: int, width: int) -> bool:
    """Whether a picture of a size comes out at the scale of the first trial."""
    frame = np.full((height, width), 0.5, np.float32)
    result = network.result
    try:
        output = network.run(frame)
    except EdgereconError:
        return False
    if result.kind == "scores":
        return True
    return output_layout(output.shape[1:], height, width) == (
        replace(result.layout, axes="HW", channels=1, batch=1),
        result.scale,
    )
