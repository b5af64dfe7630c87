"""What goes into a foreign network and what comes out of it, by shape, by name and by trial."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import ModelError, UsageError, first_line
from edgerecon.deploy.adopt.layout import Dims, Layout, input_layouts, output_layout

TRIED = (128, 192)
"""Rows and columns of the first trial, where the network leaves them open: unequal, and multiples of 64."""
DIVISORS = (1, 2, 4, 8, 16, 32)
"""Divisors of the frame's size that a state or a map of the noise level may have."""

_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(double)": np.dtype(np.float64),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(uint16)": np.dtype(np.uint16),
}
_LABEL_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
}
_BOXES = re.compile(r"box|det", re.IGNORECASE)
_NOISE = re.compile(r"noise|sigma|level|strength|std", re.IGNORECASE)
_IN_OUT = re.compile(r"in(put)?|out(put)?|new|next|prev(ious)?|old|[^a-z]|\d", re.IGNORECASE)


@dataclass(frozen=True)
class Port:
    """An input or output as the file states it. kind: ONNX Runtime's name of the type, e.g. "tensor(float)"."""

    name: str
    kind: str
    dims: Dims

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy type of the pixels."""
        return (_TYPES | _LABEL_TYPES)[self.kind]

    @property
    def speaks_of_noise(self) -> bool:
        """Whether its name does."""
        return _NOISE.search(self.name) is not None

    @property
    def single(self) -> bool:
        """Whether it is one number a picture."""
        return len(self.dims) <= 1 or all(length == 1 for length in self.dims[1:])

    def __str__(self) -> str:
        axes = "×".join("?" if length is None else str(length) for length in self.dims)
        return f"'{self.name}' ({axes or 'one number'}, {self.kind[7:-1]})"


@dataclass(frozen=True)
class State:
    """What a recurrent network carries from frame to frame: H/divisor × W/divisor of so many channels."""

    given: Port
    returned: Port
    channels: int
    divisor: int = 1


@dataclass(frozen=True)
class Ports:
    """What each port is.

    Attributes:
        image: the picture that goes in, and its layout. noise: further inputs that say how noisy it is.
        outputs: that are no state, as the file states them. states: see ``State``.
        noise_divisor: of the picture's size, that a map of the noise level has.
        size: rows and columns of the trial by which this was found.
    """

    image: Port
    layout: Layout
    noise: tuple[Port, ...] = ()
    states: tuple[State, ...] = ()
    outputs: tuple[Port, ...] = ()
    noise_divisor: int = 1
    size: tuple[int, int] = TRIED
    results: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def feeds(self, picture: NDArray[Any], noise_level: float = 0.0) -> dict[str, NDArray[Any]]:
        """Inputs of a first frame: a picture (channels, H, W) in the network's own range and type."""
        height, width = picture.shape[1:]
        given = {self.image.name: self.layout.lay(picture.astype(self.image.dtype))}
        for port in self.noise:
            given[port.name] = np.full(self.noise_shape(port, height, width), noise_level, port.dtype)
        for state in self.states:
            shape = (self.layout.batch, state.channels, height // state.divisor, width // state.divisor)
            given[state.given.name] = np.zeros(shape, state.given.dtype)
        return given

    def noise_shape(self, port: Port, height: int, width: int) -> tuple[int, ...]:
        """Of a noise level for pictures of a size: one number, one a picture, or a map."""
        if port.single:
            return tuple(self.layout.batch if at == 0 and length is None else 1 for at, length in enumerate(port.dims))
        layout = replace(self.layout, channels=self.noise_channels(port))
        return layout.shape(height // self.noise_divisor, width // self.noise_divisor)

    def noise_channels(self, port: Port) -> int:
        """Of a map of the noise level: what it states, else as many as the picture has."""
        stated = dict(zip(self.layout.axes, port.dims, strict=False)).get("C")
        return stated or self.layout.channels


def find_ports(session: Any) -> Ports:
    """Tell image, noise level and state apart, and find the layout that runs.

    Raises:
        ModelError: no input is a picture of one or three channels, an input is of no known kind, or no layout runs.
    """
    inputs = [_port(value) for value in session.get_inputs()]
    outputs = [_port(value) for value in session.get_outputs()]
    pictures = [port for port in inputs if port.kind in _TYPES and not port.single and input_layouts(port.dims)]
    if not pictures:
        known = "of float or 8 or 16 bits, with 1 or 3 channels"
        raise ModelError(f"no input is a picture ({known}): there is {', '.join(map(str, inputs)) or 'none'}")
    image = min(pictures, key=lambda port: (port.speaks_of_noise, inputs.index(port)))
    noise, states = _further([port for port in inputs if port is not image], outputs)
    taken = {state.returned.name for state in states}
    rest = tuple(port for port in outputs if port.name not in taken)
    reasons: list[str] = []
    for layout in input_layouts(image.dims):
        for divisor, noise_divisor in product(_divisors(states), _divisors([one for one in noise if not one.single])):
            tried = tuple(replace(one, divisor=divisor) for one in states)
            ports = Ports(image, layout, noise, tried, rest, noise_divisor, trial_size(image, layout))
            try:
                return replace(ports, results=_shapes(session, ports))
            except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no base
                reasons.append(first_line(error))
    raise ModelError(f"it does not run on a picture in any layout of {image} ({reasons[0]})")


def trial_size(image: Port, layout: Layout) -> tuple[int, int]:
    """Rows and columns: those that the file states, else of the trial."""
    lengths = dict(zip(layout.axes, image.dims, strict=True))
    return lengths["H"] or TRIED[0], lengths["W"] or TRIED[1]


def _shapes(session: Any, ports: Ports) -> dict[str, tuple[int, ...]]:
    picture = np.full((ports.layout.channels, *ports.size), 0.5)
    wanted = [value.name for value in session.get_outputs()]
    return {name: np.shape(array) for name, array in zip(wanted, session.run(None, ports.feeds(picture)), strict=True)}


def _port(value: Any) -> Port:
    lengths = (length if isinstance(length, int) and length > 0 else None for length in value.shape)
    return Port(value.name, value.type, tuple(lengths))


def _further(inputs: Sequence[Port], outputs: Sequence[Port]) -> tuple[tuple[Port, ...], tuple[State, ...]]:
    """Noise levels and states among the inputs that are no picture."""
    free = list(outputs)
    noise, states = [], []
    for port in inputs:
        if port.kind not in _TYPES:
            raise ModelError(f"the input {port} is no number that edgerecon knows: remove it from the network")
        if port.single:
            noise.append(port)
            continue
        returned = _returned(port, free)
        if returned is not None and not port.speaks_of_noise:
            if len(port.dims) != 4 or port.dims[1] is None:
                raise ModelError(f"the state {port} is not batch×channels×rows×columns: export it so")
            free.remove(returned)
            states.append(State(port, returned, port.dims[1]))
        elif input_layouts(port.dims):
            noise.append(port)
        else:
            raise ModelError(f"the input {port} is neither picture, noise level nor state: remove it from the network")
    return tuple(noise), tuple(states)


def _returned(port: Port, outputs: Sequence[Port]) -> Port | None:
    """The output that gives a state back: of its kind and axes, the one that is called most alike."""
    fitting = [one for one in outputs if one.kind == port.kind and _compatible(port.dims, one.dims)]
    if not fitting or len(outputs) < 2:  # one of them is the picture
        return None
    plain = _IN_OUT.sub("", port.name.lower())

    def alike(one: Port) -> tuple[float, bool]:
        return SequenceMatcher(None, plain, _IN_OUT.sub("", one.name.lower())).ratio(), one is not outputs[0]

    return max(fitting, key=alike)


def _compatible(one: Dims, other: Dims) -> bool:
    return len(one) == len(other) and all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _divisors(ports: Sequence[State | Port]) -> Sequence[int]:
    """To be tried; all states have the same one, and all maps."""
    return DIVISORS if ports else (1,)


@dataclass(frozen=True)
class Result:
    """The output that is shown. kind: "image", "map" (probabilities or classes), or "scores" (one number a class)."""

    port: Port
    kind: str
    layout: Layout
    scale: int = 1


def find_result(ports: Ports, wanted: str | None = None) -> Result:
    """The output to show.

    Args:
        wanted: its name; None: the only one that can be.

    Raises:
        UsageError: several can be, or there is none of that name. ModelError: what comes out cannot be shown, with the
        reason.
    """
    named = {port.name: port for port in ports.outputs}
    if wanted is not None and wanted not in named:
        raise UsageError(f"there is no output '{wanted}': choose one of {', '.join(named)}")
    found: list[Result] = []
    reasons: list[str] = []
    for port in [named[wanted]] if wanted else ports.outputs:
        one = _result(port, ports)
        found += [one] if isinstance(one, Result) else []
        reasons += [f"'{port.name}': {one}"] if isinstance(one, str) else []
    images = [one for one in found if one.kind == "image"] or found
    if not images:
        raise ModelError(f"no output can be shown: {'; '.join(reasons) or 'there is none'}")
    if len(images) > 1:
        raise UsageError(f"several outputs can be shown: say --output {' or '.join(one.port.name for one in images)}")
    return images[0]


def _gives_boxes(port: Port, shape: tuple[int, ...], ports: Ports) -> bool:
    """Whether an output that is no picture lists things that were found: by its name, or more rows than pictures."""
    listed = len(shape) == 3 or (len(shape) == 2 and shape[0] != ports.layout.batch)
    return listed or (len(shape) <= 2 and _BOXES.search(port.name) is not None)


def _result(port: Port, ports: Ports) -> Result | str:
    shape = ports.results[port.name]
    if port.kind not in (*_TYPES, *_LABEL_TYPES):
        return f"values of type {port.kind[7:-1]} are no picture"
    found = output_layout(shape, *ports.size)
    if isinstance(found, str):
        if _gives_boxes(port, shape, ports):
            return (
                "a detector's boxes are not drawn: export the network without its detections, or stream another output"
            )
        if port.kind in _TYPES and len(shape) <= 2 and np.prod(shape[1:], dtype=int) <= 4096:
            return Result(port, "scores", Layout("HW"))
        return found
    layout, scale = found
    if port.kind in _LABEL_TYPES or layout.channels not in (1, 3):
        return Result(port, "map", layout, scale)
    return Result(port, "image", layout, scale)
