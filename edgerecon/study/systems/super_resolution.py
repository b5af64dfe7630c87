"""Super-resolution: frames of half and a quarter of the size enlarged by SRCNN, SRResNet, SRGAN, RRDB and ESRGAN."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from edgerecon.quality.measures.full_reference import mse, psnr, ssim
from edgerecon.study.context import Context
from edgerecon.study.results import (
    LEAST_DB,
    MSE,
    PSNR,
    SSIM,
    Claim,
    Metric,
    Picture,
    Row,
    Table,
    measured,
    ordering,
    paired,
)
from edgerecon.study.scenes import ultrasound
from edgerecon.study.sr_training import perceptual, trained_networks
from edgerecon.workshop.models.network import Network

TITLE = "Super-resolution: SRCNN, SRResNet and SRGAN, RRDB and ESRGAN"
PAPER = (
    "Deep-learning super-resolution of ultrasound compared: SRCNN (Dong et al., ECCV 2014), SRGAN (Ledig et al., CVPR "
    "2017) and ESRGAN (Wang et al., ECCV Workshops 2018)."
)

Image = NDArray[np.float32]
Enlarge = Callable[[Image], Image]

SPECKLED = Metric("psnr_speckled_db", "PSNR of B-mode, dB", "higher", 2)
CLEAN = Metric("psnr_clean_db", "PSNR without speckle, dB", "higher", 2)
TEXTURE = Metric("texture", "fine texture kept", "", 2)
METRICS = (PSNR, SSIM, MSE, SPECKLED, CLEAN, TEXTURE)
TARGET_DB = 33.0
CLASSICAL = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "Lanczos": cv2.INTER_LANCZOS4,
}
PUBLISHED = {
    "SRCNN": ({"psnr_db": 25.28, "ssim": 0.88}, "The paper prints 20.96–25.28 dB and 0.70–0.88."),
    "SRGAN": ({"psnr_db": 23.43, "ssim": 0.83}, "The paper prints 12.57–23.43 dB and 0.62–0.83."),
    "ESRGAN": ({"psnr_db": 33.16, "ssim": 0.92}, "The paper prints 28.33–33.16 dB and 0.81–0.92."),
    "SRResNet": ({}, "The generator of SRGAN, trained for PSNR."),
    "RRDB": ({}, "The generator of ESRGAN, trained for PSNR."),
}
SHOWN = ("bicubic", "SRCNN", "SRResNet", "SRGAN", "RRDB", "ESRGAN")
NOTE = (
    "The large images are simulated B-mode frames and the same tissue without speckle, one of each a scene, since a "
    "scanner shows anything between the two: a raw look, or many compounded. PSNR, SSIM and MSE are means over both; "
    "the small images are means over 2×2 or 4×4 pixels, which is antialiased. Networks for PSNR lower the mean "
    "logarithm of each crop's error in place of the mean error, or speckle alone would count. SRResNet and RRDB add "
    "the image enlarged by cubic convolution, and SRCNN starts as it, so that short trainings start from there. "
    "'Fine texture kept' is the spread of the Laplacian over that of the large image: 1 is as much as there was."
)


def run(ctx: Context) -> None:
    """Fill ``ctx.result``: a table, a picture and the claims for each enlargement."""
    size = ctx.profile.pick(smoke=64, quick=128, full=256)
    train = _images(ctx, "train", ctx.profile.pick(smoke=4, quick=72, full=2000), size)
    test = _images(ctx, "test", ctx.profile.pick(smoke=3, quick=16, full=128), size)
    alike, features = perceptual(ctx)
    ctx.result.notes += [NOTE, features]
    for scale in ctx.profile.pick(smoke=(2,), quick=(2, 4), full=(2, 4)):
        networks = trained_networks(ctx, scale, train.reshape(-1, size, size), alike)
        methods: dict[str, Enlarge] = {name: _interpolated(scale, flag) for name, flag in CLASSICAL.items()}
        methods |= {name: _by(network) for name, network in networks.items()}
        _compare(ctx, scale, methods, test)
        for name, network in networks.items():
            shape = ctx.profile.pick(smoke=(24, 32), quick=(128, 128), full=(256, 256))
            ctx.ship(network, f"study-{name.lower()}-x{scale}", "super-resolution", shape)
            ctx.hold_out(f"study-{name.lower()}-x{scale}", *_held_out(scale, test))


def _images(ctx: Context, name: str, scenes: int, size: int) -> NDArray[np.uint8]:
    """(scenes, 2, size, size): B-mode, and without speckle."""
    made = ultrasound(ctx, name, scenes, size)
    return np.concatenate([made["speckled"], made["clean"]], axis=1)


def _interpolated(scale: int, flag: int) -> Enlarge:
    def enlarge(small: Image) -> Image:
        side = (small.shape[1] * scale, small.shape[0] * scale)
        return np.asarray(np.clip(cv2.resize(small, side, interpolation=flag), 0, 1), np.float32)

    return enlarge


def _held_out(scale: int, test: NDArray[np.uint8]) -> tuple[Image, Image]:
    """Small images and their large ones, (scenes, 2, H, W)."""
    large = test.astype(np.float32) / np.float32(255)
    return np.stack([[smaller(image, scale) for image in pair] for pair in large]), large


def _by(network: Network) -> Enlarge:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def enlarge(small: Image) -> Image:
        with torch.inference_mode():
            found = network.to(device)(torch.from_numpy(small)[None, None].to(device))[0, 0].clamp(0, 1).cpu().numpy()
        network.cpu()
        return np.asarray(found, np.float32)

    return enlarge


def smaller(image: Image, scale: int) -> Image:
    """Mean over scale×scale pixels, (H, W) → (H/scale, W/scale); H and W are multiples."""
    return np.asarray(cv2.resize(image, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA), np.float32)


def _compare(ctx: Context, scale: int, methods: Mapping[str, Enlarge], test: NDArray[np.uint8]) -> None:
    figures = {}
    for name, enlarge in methods.items():
        figures[name] = [_figures(pair / np.float32(255), scale, enlarge) for pair in test]
        ctx.progress(f"{ctx.result.name}: measuring ×{scale}", len(figures), len(methods))
    table = _table(scale, figures, len(test))
    ctx.result.tables.append(table)
    ctx.result.pictures.append(_picture(scale, methods, test[0] / np.float32(255)))
    ctx.result.claims += _claims(scale, table, {name: [f["psnr_db"] for f in found] for name, found in figures.items()})


def _figures(pair: Image, scale: int, enlarge: Enlarge) -> dict[str, float]:
    """Of one scene: means over its two images, and both apart."""
    found = [enlarge(smaller(image, scale)) for image in pair]
    decibels = [psnr(a, b) for a, b in zip(found, pair, strict=True)]
    return {
        "psnr_db": float(np.mean(decibels)),
        "ssim": float(np.mean([ssim(a, b) for a, b in zip(found, pair, strict=True)])),
        "mse": float(np.mean([mse(a, b) for a, b in zip(found, pair, strict=True)])),
        "psnr_speckled_db": decibels[0],
        "psnr_clean_db": decibels[1],
        "texture": float(cv2.Laplacian(found[0], cv2.CV_32F).std() / cv2.Laplacian(pair[0], cv2.CV_32F).std()),
    }


def _table(scale: int, figures: Mapping[str, list[dict[str, float]]], scenes: int) -> Table:
    rows = []
    for name, found in figures.items():
        values = measured({metric.key: [scene[metric.key] for scene in found] for metric in METRICS})
        paper, note = PUBLISHED.get(name, ({}, ""))
        rows.append(Row(name, "classical" if name in CLASSICAL else "trained", values, paper, note))
    return Table(
        f"Enlargement ×{scale}",
        METRICS,
        tuple(rows),
        f"{scenes} simulated scenes that no training saw, each with and without speckle; intervals are over scenes.",
    )


def _picture(scale: int, methods: Mapping[str, Enlarge], pair: Image) -> Picture:
    small = [smaller(image, scale) for image in pair]
    panels = [("small", _interpolated(scale, cv2.INTER_NEAREST)(_side_by_side(*small)))]
    panels += [(name, _side_by_side(*(methods[name](image) for image in small))) for name in SHOWN]
    panels.append(("large", _side_by_side(*pair)))
    return Picture(f"Enlargement ×{scale}", tuple(panels), "A held-out scene as B-mode (left) and without speckle.")


def _side_by_side(left: Image, right: Image) -> Image:
    return np.concatenate([left, right], axis=1)


def _claims(scale: int, table: Table, psnrs: Mapping[str, list[float]]) -> list[Claim]:
    claims = []
    for name in ("SRCNN", "SRResNet", "RRDB"):
        gain = paired(psnrs[name], psnrs["bicubic"])
        # SRResNet and RRDB are bicubic while they have learned nothing.
        holds = True if gain["low"] > LEAST_DB else False if gain["high"] < 0 else None
        shown = f"{gain['mean']:+.2f} dB [{gain['low']:+.2f}, {gain['high']:+.2f}] scene by scene"
        claims.append(Claim(f"Learned over bicubic at ×{scale}: {name}", holds, shown))
    papers = ordering(table, ("ESRGAN", "SRCNN", "SRGAN"), PSNR, f"ESRGAN over SRCNN over SRGAN in PSNR at ×{scale}")
    claims.append(papers)
    if scale == 2:
        mean = table.mean("RRDB", "psnr_db")
        speckled, clean = (table.mean("RRDB", metric.key) for metric in (SPECKLED, CLEAN))
        evidence = f"{mean:.2f} dB over both kinds of image: {speckled:.2f} with speckle, {clean:.2f} without"
        text = f"The PSNR-oriented generator of ESRGAN reaches {TARGET_DB:.0f} dB at ×2"
        claims.append(Claim(text, mean >= TARGET_DB, evidence))
    return claims
