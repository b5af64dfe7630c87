"""A foreign network as it came, run on frames in the range it wants: the reference for all that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import GateError, first_line
from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.ports import Ports, Result
from edgerecon.deploy.adopt.ranges import OF_TYPE, UNIT, Range


@dataclass
class Network:
    """A session with what is known of its ports.

    Attributes:
        noise_level: standard deviation in [0, 1] that every input which asks for a noise level is given.
    """

    session: Any
    ports: Ports
    result: Result
    noise_level: float = 0.0

    def run(self, frame: Image, given: Range = UNIT) -> NDArray[np.float32]:
        """One frame, the first of its sequence: (H, W) in [0, 1] → what comes out, (channels, H, W) as it comes.

        Raises:
            GateError: the network fails on it.
        """
        return self.run_sequence([frame], given)[0]

    def run_sequence(self, frames: Sequence[Image], given: Range = UNIT) -> list[NDArray[np.float32]]:
        """Frames of one size one after the other; a recurrent network's state goes from each to the next."""
        states = self.ports.states
        wanted = [self.result.port.name, *(state.returned.name for state in states)]
        noise = self.noise_value(given)
        carried: dict[str, NDArray[Any]] = {}
        found = []
        for frame in frames:
            try:
                feeds = self.ports.feeds(self._picture(frame, given), noise) | carried
                output, *after = self.session.run(wanted, feeds)
            except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no base
                size = "×".join(map(str, frame.shape))
                raise GateError(f"the network fails on a {size} picture: {first_line(error)}") from None
            carried = {state.given.name: value for state, value in zip(states, after, strict=True)}
            found.append(self._taken(np.asarray(output)))
        return found

    def output(self, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """What comes out for inputs of the network's own, (channels, H, W) as it comes."""
        return self._taken(np.asarray(self.session.run([self.result.port.name], feeds)[0]))

    def noise_value(self, given: Range) -> float:
        """The noise level as a network of that range is told it."""
        return self.noise_level * float(np.mean(given.gain))

    def _picture(self, frame: Image, given: Range) -> NDArray[np.float32]:
        values = given.of_levels(np.repeat(frame[None], self.ports.layout.channels, 0))
        return np.rint(values) if self.ports.image.dtype in OF_TYPE else values

    def _taken(self, output: NDArray[Any]) -> NDArray[np.float32]:
        if self.result.kind == "scores":
            first = output.reshape(self.ports.layout.batch, -1)[0]
            return np.asarray(first, np.float32).reshape(1, 1, -1)
        return np.asarray(self.result.layout.take(output), np.float32)
