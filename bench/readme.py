"""Write the tables of README.md and docs/ from the committed results and the records, or say that they have drifted.

python bench/readme.py            # after  make bench
python bench/readme.py --check    # exit status 1 when a page holds anything else than they give
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import readme_beamformer, readme_kinds, readme_quality, readme_reasons, readme_speed, readme_study

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench/results"
Blocks = Mapping[str, Callable[[Path], str]]
PAGES: Mapping[str, Blocks] = {
    "README.md": {
        "soak": readme_reasons.soak,
        "pace": readme_reasons.pace,
        "loop": readme_reasons.loop,
        "gates": readme_reasons.gates,
        "best": readme_speed.best,
    },
    "docs/results.md": {
        "simulated": readme_quality.simulated,
        "compound": readme_quality.compound,
        "picture": readme_quality.picture,
        "scenes": readme_quality.scenes,
        "detection": readme_quality.detection,
        "real": readme_quality.real,
        "models": readme_speed.models,
        "studied": readme_speed.studied,
        "scenarios": readme_speed.scenarios,
        "peers": readme_speed.peers,
        "stream-peers": readme_speed.stream_peers,
        "streaming": readme_speed.streaming,
        "fit": readme_speed.fit,
        "study counts": readme_study.counts,
    },
    "docs/stream/sources.md": {"sources": readme_kinds.sources},
    "docs/stream/sinks.md": {"sinks": readme_kinds.sinks},
    "docs/stream/serve.md": {"serve keys": readme_kinds.serve_keys},
    "docs/stream/model.md": {
        "strengths": readme_quality.strengths,
        "whole frames": readme_quality.whole,
        "protect": readme_quality.protect,
        "border": readme_quality.border,
    },
    "docs/deploy.md": {"weight levels": readme_quality.weight_levels},
    "docs/beamform.md": {"beamformer": readme_beamformer.beamformer, "learned": readme_beamformer.learned},
    **readme_study.pages(),
    "docs/train.md": {
        "measures": readme_kinds.measure_list,
        "true picture": readme_quality.true_picture,
        "true speckle": readme_quality.true_speckle,
    },
    "docs/try.md": {"browser": readme_speed.browser},
    "kernels/README.md": {"native": readme_speed.native_engine},
}


def renewed(page: str, blocks: Mapping[str, str]) -> str:
    """A page with each block between its marks: on lines of its own, or within a line where its marks are.

    Raises:
        ValueError: marks are not there.
    """
    for name, content in blocks.items():
        begin, end = f"<!-- {name}: made by bench/readme.py -->", f"<!-- end of {name} -->"
        before, first, rest = page.partition(begin)
        before_end, last, after = rest.partition(end)
        if not first or not last:
            raise ValueError(f"the page holds no '{begin}' … '{end}'")
        gap = "\n\n" if "\n" in before_end else ""
        page = f"{before}{begin}{gap}{content}{gap}{end}{after}"
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    for name, blocks in PAGES.items():
        path = ROOT / name
        page = path.read_text(encoding="utf-8")
        wanted = renewed(page, {block: make(RESULTS) for block, make in blocks.items()})
        if not arguments.check:
            path.write_text(wanted, encoding="utf-8")
        elif wanted != page:
            sys.exit(f"{name} is not what bench/results and the records give: run  python bench/readme.py")


if __name__ == "__main__":
    main()
