"""Write the README's table of speed beside quality anew from the committed result, or say that it has drifted.

python bench/readme.py            # after  make bench
python bench/readme.py --check    # exit status 1 when README.md holds anything else than the result gives
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edgerecon.bench.compare import read_result
from edgerecon.bench.markdown import markdown

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench/results/models.json"
BEGIN, END = "<!-- made by bench/readme.py from bench/results/models.json -->", "<!-- end -->"


def renewed(readme: str, table: str) -> str:
    """The README with the table between its marks.

    Raises:
        ValueError: the marks are not there.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md holds no '{BEGIN}' … '{END}'")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    path = ROOT / "README.md"
    readme = path.read_text(encoding="utf-8")
    wanted = renewed(readme, markdown(read_result(RESULT)))
    if not arguments.check:
        path.write_text(wanted, encoding="utf-8")
    elif wanted != readme:
        sys.exit("README.md and bench/results/models.json have drifted apart: run  python bench/readme.py")


if __name__ == "__main__":
    main()
