"""How much of a recording is on the disk while another process writes it."""

from __future__ import annotations

from pathlib import Path

from tests.support.stream_fakes import until


def wait_for_rows(part: Path, count: int) -> None:
    """Until all columns have so many rows: the stores write behind the stream, and the column "late" last."""
    import h5py
    import zarr

    def written() -> bool:
        try:
            if part.is_file():
                with h5py.File(part, "r", swmr=True) as found:
                    return bool(found["late"].shape[0] >= count)
            return bool(zarr.open_group(part, mode="r")["late"].shape[0] >= count)
        except (OSError, KeyError, ValueError):
            return False

    until(written)
