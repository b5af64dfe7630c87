"""``python -m edgerecon`` is the ``edgerecon`` command."""

from edgerecon.cli import main

if __name__ == "__main__":
    main()
