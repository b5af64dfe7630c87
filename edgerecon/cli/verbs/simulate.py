"""The verb that simulates training pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.output import check_name, console, say
from edgerecon.cli.verbs.placement import Ray


def simulate(
    out: Annotated[Path, typer.Argument(help="HDF5 file to write.")],
    samples: Annotated[int, typer.Option(help="How many scenes.", min=1)],
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.", min=0)] = 0,
    kind: Annotated[
        str,
        typer.Option(
            help="acoustic: plane waves in random tissue. display: what scanners show, far faster. lesions, recorded: "
            "the same, of small lesions and of strongly coded recordings. channel: parts of the aperture, for learned "
            "beamforming."
        ),
    ] = "acoustic",
    sequence: Annotated[int, typer.Option(help="Frames of each acoustic scene, 30 a second.", min=1)] = 1,
    ray: Ray = None,
) -> None:
    """Simulate training pairs.

    Either the acoustics of random tissue, or what scanners display of it.
    """
    from edgerecon.cli.tables.bars import count_bar
    from edgerecon.core.cluster import spread_over
    from edgerecon.workshop.data.simulate import simulate as run

    check_name(out, "HDF5", ".h5", ".hdf5")
    with spread_over(ray) as spread, count_bar(console(), f"Simulating {out.name}", "samples") as on_sample:
        made = run(out, samples, seed, sequence, on_sample=on_sample, spread=spread if ray else None, kind=kind)
    say(f"{out}: {samples} samples, {made} of them new" if made else f"{out} holds {samples} samples or more already")
