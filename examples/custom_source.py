"""A source of one's own: anything that yields captures can be streamed.

python examples/custom_source.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import edgerecon as er


class MovingDisk:
    """Sixty frames of a bright disk that moves through speckle."""

    name, period_s, spacing_mm, length, live = "moving disk", 1 / 30, (0.2, 0.2), 60, False

    def frames(self) -> Iterator[er.Capture]:
        random = np.random.default_rng(0)
        rows, columns = np.mgrid[:240, :320]
        for step in range(self.length):
            disk = (rows - 120) ** 2 + (columns - 40 - 4 * step) ** 2 < 900
            speckle = random.rayleigh(40, disk.shape)
            yield er.Capture(np.clip(speckle * (1 + disk), 0, 255).astype(np.uint8))

    def close(self) -> None: ...


def main() -> None:
    engine = er.open_engine("compact-despeckle")
    report = er.stream(MovingDisk(), engine, [er.open_sink("null")], policy="every", pace=False)
    print(f"{report.to_json()['presented']} of {MovingDisk.length} frames presented")


if __name__ == "__main__":
    main()
