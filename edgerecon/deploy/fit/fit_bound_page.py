"""The bounds of a device that is not here as one HTML page: the outcome, and every model with its bound."""

from __future__ import annotations

from html import escape

from edgerecon.deploy.fit.fit_bound import BoundFit
from edgerecon.deploy.fit.fit_page import asked_for
from edgerecon.hardware.device import load_device
from edgerecon.report.page import number, page, table


def fit_bound_page(found: BoundFit) -> str:
    """HTML that needs nothing beside itself."""
    device = load_device(found.device)
    rows = [
        (
            one.model,
            one.precision,
            number(one.ssim, 3),
            number(one.gcnr, 3),
            number(one.roofline.compute_ms, 3),
            number(one.roofline.memory_ms, 3),
            number(one.roofline.ms, 3),
            one.roofline.binds,
            "not ruled out" if one in found.possible else "no",
        )
        for one in found.bounds
    ]
    head = ("Model", "Precision", "SSIM", "gCNR", "Arithmetic, ms", "Memory, ms", "At least, ms", "Binds", "Holds")
    sources = "".join(
        f"<li>{escape(key)} = {escape(f'{value:g}' if isinstance(value, float | int) else value)}: "
        f"{escape(device.source(key))}</li>"
        for key, value in device.facts()
        if key == "bandwidth_gbs" or key.startswith("peak.")
    )
    body = (
        f'<p class="brand">edgerecon fit</p><h1>What {escape(device.title)} could hold</h1>'
        f'<p class="muted">{escape(", ".join(asked_for(found.requirement, found.shape)))}. Roofline bounds, not '
        f'measurements.</p><p class="verdict{"" if found.possible else " missed"}">{escape(found.sentence)}</p>'
        f"<h2>Bounds</h2>{table(head, rows, '..nnnnn..')}"
        '<p class="note">No engine can be faster than its bound; how much slower it is shows on the device. SSIM and '
        f"gCNR as the model file states them.</p><h2>The device's documents</h2><ul>{sources}</ul>"
    )
    return page("edgerecon fit", body)
