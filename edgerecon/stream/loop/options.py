"""How a stream runs: one frozen object, checked when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edgerecon.core.errors import UsageError
from edgerecon.stream.picture.box import Box, parse_box
from edgerecon.stream.process.scheduling import ORDINARY, Scheduling

Policy = Literal["latest", "every"]
Late = Literal["present", "skip"]


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """How a stream runs.

    Attributes:
        policy: `latest`, where a frame that waits is dropped for a newer one; or `every`, where capture waits.
        late: what becomes of a frame that is over its deadline before it is shown: it is shown and counted as late, or
            dropped.
        pace: capture at the source's frame period (1/30 s when it states none, or one below 1 µs or above an hour);
            else as fast as frames are taken. A live source sets its own pace.
        deadline_ms: from capture to presentation; the frame period when None.
        loop: repeat the source, unless it is live.
        frames: end after so many captures.
        seconds: end after so long.
        hang_s: how long an engine may take for one frame; ten deadlines, and 1 s at least, when None.
        scheduling: priority and processors of the stream's threads.
        crop: x, y, width, height in pixels of the part of every frame that is streamed; all of it when None.

    Raises:
        UsageError: a limit or the deadline is no number above 0, the policy or ``late`` is none of these words, or the
            crop is no box.

    Examples:
        >>> StreamOptions(policy="every", pace=False).policy
        'every'
    """

    policy: Policy = "latest"
    late: Late = "present"
    pace: bool = True
    deadline_ms: float | None = None
    loop: bool = False
    frames: int | None = None
    seconds: float | None = None
    hang_s: float | None = None
    scheduling: Scheduling = ORDINARY
    crop: Box | None = None

    def __post_init__(self) -> None:
        if self.policy not in ("latest", "every"):
            raise UsageError(f"unknown policy '{self.policy}': choose latest or every")
        if self.late not in ("present", "skip"):
            raise UsageError(f"late frames cannot be treated as '{self.late}': choose present or skip")
        limits = {
            "deadline": self.deadline_ms,
            "number of frames": self.frames,
            "duration": self.seconds,
            "time to hang": self.hang_s,
        }
        for name, value in limits.items():
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"the {name} must be a number above 0, not {value}")
        if self.crop is not None:
            parse_box(",".join(map(str, self.crop)), "crop")
