"""Stream into a DICOM archive: the recording is sent when it is whole.

pip install 'edgerecon[pacs]'
python examples/send_to_pacs.py dicom://localhost:11112/ANY-SCP
python examples/send_to_pacs.py dicomweb://localhost:8042/dicom-web
"""

from __future__ import annotations

import sys

import edgerecon as er


def main(archive: str, source: str = "sample") -> None:
    engine, sinks = er.open_engine("compact-despeckle"), [er.open_sink(archive)]
    report = er.stream(er.open_source(source), engine, sinks, policy="every", pace=False)
    if report.error:
        sys.exit(report.error)
    print(f"sent {report.presented} frames to {sinks[0].name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
