"""The ``edgerecon`` command, also as ``python -m edgerecon``: Ctrl-C is a line from the first moment on."""

import os
import sys


def main() -> None:
    """Import the command line, which takes a moment, and run it."""
    # NumPy's products are small here, and OpenBLAS's threads spin: they take the core that our own kernels wait for.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from edgerecon.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("edgerecon: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
