"""Programs that check their own addresses, arithmetic and threads, run so that they end on any machine.

GCC's sanitizers reserve fixed addresses. Where the kernel draws 32 bits of an address at random (vm.mmap_rnd_bits) a
program collides with them now and then, and writes "AddressSanitizer:DEADLYSIGNAL" without end: it fills the memory of
whoever collects its output. So addresses are fixed, the output goes to a file that cannot grow past a megabyte, and
where addresses cannot be fixed (a container that forbids it) a program that collided is started again.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SECONDS = 300
"""To wait for a compiler or a program, on a machine that does ten other things as well."""
STARTS = 10
"""At most, of one program: it collides in fewer than 3 of 10 starts."""
_NO_RANDOM_ADDRESSES, _ASK = 0x0040000, 0xFFFFFFFF
"""ADDR_NO_RANDOMIZE of <sys/personality.h>, and the argument that changes nothing."""


@contextmanager
def fixed_addresses() -> Iterator[None]:
    """Programs that this thread starts have no random addresses; where the machine forbids that, they keep them."""
    personality = ctypes.CDLL(None).personality
    before = personality(_ASK)
    if before != -1:
        personality(before | _NO_RANDOM_ADDRESSES)
    try:
        yield
    finally:
        if before != -1:
            personality(before)


def run_sanitized(command: Sequence[object], folder: Path) -> None:
    """Fails the test with the end of what the program said, unless it exits with 0."""
    said = folder / "said.txt"
    limited = ["sh", "-c", 'ulimit -f 2000; said=$1; shift; exec "$@" >"$said" 2>&1', "sh", said, *command]
    for _ in range(STARTS):
        with fixed_addresses():
            done = subprocess.run([str(part) for part in limited], timeout=SECONDS, check=False)
        text = said.read_text(errors="replace")
        if not text.startswith("AddressSanitizer:DEADLYSIGNAL") or "ERROR" in text:
            break
    assert done.returncode == 0, text.replace("AddressSanitizer:DEADLYSIGNAL\n", "")[-3000:] or "it collided"
