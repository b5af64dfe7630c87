"""Stream into a DICOM file, and send it to an archive (C-STORE).

pip install pynetdicom
python examples/send_to_pacs.py localhost 11112 ANY-SCP
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE

import edgerecon as er


def main(host: str, port: str, title: str = "ANY-SCP", source: str = "sample") -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "after.dcm"
        engine, sinks = er.open_engine("compact-despeckle"), [er.open_sink(str(path))]
        er.stream(er.open_source(source), engine, sinks, policy="every", pace=False)
        dataset = dcmread(path)
    sender = AE(ae_title="EDGERECON")
    sender.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = sender.associate(host, int(port), ae_title=title)
    if not association.is_established:
        sys.exit(f"{title} at {host}:{port} does not answer, or takes no {dataset.SOPClassUID.name}")
    status = association.send_c_store(dataset)
    association.release()
    if "Status" not in status or status.Status != 0:
        sys.exit(f"{title} refused the file: {status.get('ErrorComment', status.get('Status', 'no answer'))}")
    print(f"sent {dataset.NumberOfFrames} frames to {title}: {dataset.SOPInstanceUID}")


if __name__ == "__main__":
    main(*sys.argv[1:])
