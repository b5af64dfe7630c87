"""Does reconstruction help or harm detection? DenseNet-201 and classical classifiers on raw, reconstructed and true."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgerecon.engines import open_engine
from edgerecon.study.classical_classifier import Kind, fit, frame_features, score
from edgerecon.study.context import Arrays, Context
from edgerecon.study.detection import AUC, SENSITIVITY, SPECIFICITY, auc_difference, best_cut, detection
from edgerecon.study.hallucination import contrast_kept, spurious_contrast
from edgerecon.study.labelled import classifier_batches, cross_entropy, labelled, probabilities
from edgerecon.study.results import Claim, Metric, Picture, Row, Table, measured, ordering, paired
from edgerecon.study.scenes import held_out, ultrasound
from edgerecon.study.training import Draw, Schedule, digest
from edgerecon.workshop.data.lesions import CLASSES
from edgerecon.workshop.models.densenet import BLOCKS, DenseNet
from edgerecon.workshop.models.unet import UNet
from edgerecon.workshop.train.steps import Supervised

TITLE = "Classification, and the diagnostic question"
PAPER = (
    "DenseNet-201 (Huang et al., CVPR 2017) against feature extraction, PCA, k-means, SVM and decision tree on "
    "ultrasound; whether reconstruction helps or harms detection is asked by the papers and not measured."
)
SHIPPED = "compact-despeckle"
DENSENET201 = "EDGERECON_DENSENET201"
"""Environment variable: a file with weights of a DenseNet-201 to start from, see ``DenseNet.load_weights``."""
RAW, RECONSTRUCTED, STUDY, TRUE = "raw", f"{SHIPPED} (shipped)", "U-Net (study)", "ground truth"
VERSIONS = (RAW, RECONSTRUCTED, STUDY, TRUE)
KINDS: dict[str, Literal["reference", "trained"]] = {
    RAW: "reference",
    RECONSTRUCTED: "trained",
    STUDY: "trained",
    TRUE: "reference",
}
CYST = CLASSES.index("cyst")
LEAST_AUC = 0.02
"""A gain that counts: one that is surely smaller is none."""

CYST_AUC = Metric("cyst_auc", "AUC, cyst or solid")
CYST_SENSITIVITY = Metric("cyst_sensitivity", "sensitivity, cyst")
CYST_SPECIFICITY = Metric("cyst_specificity", "specificity, cyst")
METRICS = (AUC, SENSITIVITY, SPECIFICITY, CYST_AUC, CYST_SENSITIVITY, CYST_SPECIFICITY)
FALSE = Metric("false_positive_rate", "lesion-free called lesion", "lower")
FALSE_RAW = Metric("false_positive_rate_raw_trained", "the same, trained on raw", "lower")
SPURIOUS = Metric("spurious_contrast", "greatest spurious contrast", "lower")
CYSTS_KEPT = Metric("cyst_contrast_kept", "contrast of cysts kept", "")
SOLID_KEPT = Metric("solid_contrast_kept", "contrast of solid lesions kept", "")
ALLOWED = 0.05
NOTE = (
    "Scenes with no lesion, a cyst and a solid lesion are simulated in equal parts; the sets for training, thresholds "
    "and test share none. One network of three classes answers both questions: lesion or none, and, where there is "
    "one, cyst or solid. Frames are reconstructed at full size and classified at half of it. The network is trained on "
    "raw frames first and goes on from there, equally long, on each kind of frame (transfer learning), raw ones among "
    "them. Thresholds are those of the greatest sensitivity plus specificity on the middle set. Each frame has a "
    "scanner of its own, so that neither grain nor gain tells the class."
)
Scores = dict[str, NDArray[np.float32]]
"""Kind of frame → probabilities (scenes, classes)."""


def run(ctx: Context) -> None:
    """Fill ``ctx.result``: the classifiers compared, the diagnostic question, the check for hallucinations."""
    pick = ctx.profile.pick
    size = pick(smoke=64, quick=128, full=192)
    scenes = {
        "train": labelled(
            ctx, "train", pick(smoke=6, quick=270, full=6000), size, looks=pick(smoke=1, quick=2, full=8)
        ),
        "tuning": labelled(ctx, "tuning", pick(smoke=6, quick=90, full=600), size),
        "test": labelled(ctx, "test", pick(smoke=6, quick=180, full=1500, long=540), size),
    }
    unet = _reconstruction(ctx)
    frames = {part: _versions(arrays, unet) for part, arrays in scenes.items()}
    read = {part: {name: _halved(images) for name, images in found.items()} for part, found in frames.items()}
    networks = _classifiers(ctx, read, {part: arrays["label"] for part, arrays in scenes.items()})
    own = {
        part: {v: probabilities(networks[v], _first(read[part][v])) for v in VERSIONS} for part in ("tuning", "test")
    }
    by_raw = {
        part: {v: probabilities(networks[RAW], _first(read[part][v])) for v in VERSIONS} for part in ("tuning", "test")
    }
    labels = {part: arrays["label"] for part, arrays in scenes.items()}
    ctx.result.notes.append(NOTE)
    _compare_classifiers(ctx, read, labels, own)
    _ask(ctx, labels, own, by_raw)
    _check(ctx, frames["test"], scenes["test"], labels, own, by_raw)
    ctx.result.pictures.append(_picture(frames["test"], labels["test"]))
    for name, network in networks.items():
        short = {RAW: "raw", RECONSTRUCTED: "despeckled", STUDY: "unet", TRUE: "true"}[name]
        ctx.ship(network, f"study-densenet201-{short}", "classification", (size // 2, size // 2))
    ctx.ship(unet, "study-diagnosis-unet", "despeckle", (size, size))


def _reconstruction(ctx: Context) -> UNet:
    """The study's own despeckler, trained on general scenes: it is not told of lesions."""
    pick = ctx.profile.pick
    pairs = ultrasound(ctx, "pairs", pick(smoke=3, quick=60, full=1500), pick(smoke=48, quick=128, full=192))
    side, batch = pick(smoke=16, quick=48, full=96), pick(smoke=2, quick=12, full=32)
    width, depth = pick(smoke=(4, 1), quick=(12, 3), full=(32, 4))
    kept = held_out(ctx, pairs["speckled"].shape[-1])
    network: UNet = ctx.train(
        "unet",
        lambda: Supervised(UNet(width, depth), lambda output, raw, clean: (output - clean).abs().mean()),
        _pairs(pairs, side, batch),
        Schedule(pick(smoke=2, quick=250, full=30_000), 2e-3),
        check=_pairs(kept, side, batch) if kept else None,
    )
    return network


def _pairs(pairs: Arrays, side: int, batch: int) -> Draw:
    raw, clean = pairs["speckled"][:, 0], pairs["clean"][:, 0]

    def draw(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        picked = []
        for index in rng.integers(len(raw), size=batch):
            top, left = rng.integers(raw.shape[1] - side + 1, size=2)
            crop = np.stack([image[index, top : top + side, left : left + side] for image in (raw, clean)])
            picked.append(crop[:, :, ::-1] if rng.random() < 0.5 else crop)
        both = torch.from_numpy(np.stack(picked) / np.float32(255))
        return both[:, :1], both[:, 1:]

    return draw


def _versions(scenes: Arrays, unet: UNet) -> dict[str, NDArray[np.uint8]]:
    """Kind of frame → (scenes, looks, H, W), in 8 bits as a scanner would show them."""
    raw = scenes["speckled"]
    flat = raw.reshape(-1, *raw.shape[2:]) / np.float32(255)
    engine = open_engine(SHIPPED)
    shipped = np.stack([engine.run(frame) for frame in flat])
    engine.close()
    with torch.inference_mode():
        own = np.concatenate([unet(torch.from_numpy(part)[:, None])[:, 0].numpy() for part in np.array_split(flat, 8)])
    return {
        RAW: raw,
        RECONSTRUCTED: _in_eight_bits(shipped).reshape(raw.shape),
        STUDY: _in_eight_bits(own).reshape(raw.shape),
        TRUE: scenes["clean"],
    }


def _in_eight_bits(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(images, 0, 1) * 255), np.uint8)


def _halved(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means over 2×2 pixels, (scenes, looks, H, W) → half of H and W: what the classifiers read."""
    scenes, looks, height, width = images.shape
    cells = images.reshape(scenes, looks, height // 2, 2, width // 2, 2)
    return np.asarray(np.rint(cells.mean(axis=(3, 5), dtype=np.float32)), np.uint8)


def _classifiers(
    ctx: Context, read: Mapping[str, Mapping[str, NDArray[np.uint8]]], labels: Mapping[str, NDArray[np.int64]]
) -> dict[str, DenseNet]:
    """Kind of frame → DenseNet-201 that was trained on raw frames, then on that kind.

    Args:
        read, labels: of the sets "train" and, by which a long study judges, "tuning".
    """
    pick = ctx.profile.pick
    blocks, growth, width = pick(smoke=((1, 1, 1, 1), 4, 8), quick=(BLOCKS, 32, 64), full=(BLOCKS, 32, 64))
    batch = pick(smoke=4, quick=16, full=64)

    def batches(part: str, kind: str) -> Draw:
        return classifier_batches(read[part][kind], labels[part], batch)

    def started() -> DenseNet:
        network = DenseNet(len(CLASSES), blocks, growth, width)
        if path := os.environ.get(DENSENET201):
            network.load_weights(Path(path))
        return network

    first: DenseNet = ctx.train(
        "densenet201-first",
        lambda: Supervised(started(), cross_entropy),
        batches("train", RAW),
        Schedule(pick(smoke=2, quick=100, full=8000, long=200), pick(smoke=1e-3, quick=1e-3, full=5e-4), fixed=True),
        {"weights": os.environ.get(DENSENET201, "")},
        batches("tuning", RAW),
    )

    def further() -> DenseNet:
        network = started()
        network.load_state_dict(first.state_dict())
        return network

    rate = pick(smoke=1e-4, quick=5e-4, full=2e-4)
    found = {}
    for index, name in enumerate(VERSIONS):
        found[name] = ctx.train(
            f"densenet201-{('raw', 'despeckled', 'unet', 'true')[index]}",
            lambda: Supervised(further(), cross_entropy),
            batches("train", name),
            Schedule(pick(smoke=1, quick=24, full=3000, long=40), rate),
            {"frames": name, "start": digest(first)},
            batches("tuning", name),
        )
    return found


def _first(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The first look of each scene, in [0, 1]."""
    return np.asarray(images[:, 0] / np.float32(255), np.float32)


def _figures(
    tuning: tuple[NDArray[np.floating], NDArray[np.floating]],
    test: tuple[NDArray[np.floating], NDArray[np.floating]],
    labels: Mapping[str, NDArray[np.int64]],
) -> dict[str, dict[str, float]]:
    """All of METRICS from (lesion score, cyst score) of both sets."""
    is_lesion = {part: labels[part] > 0 for part in ("tuning", "test")}
    cut = best_cut(tuning[0], is_lesion["tuning"])
    values = detection(test[0], is_lesion["test"], cut)
    have = {part: labels[part] > 0 for part in ("tuning", "test")}
    cut = best_cut(tuning[1][have["tuning"]], labels["tuning"][have["tuning"]] == CYST)
    cyst = detection(test[1][have["test"]], labels["test"][have["test"]] == CYST, cut)
    return values | {f"cyst_{key}": value for key, value in cyst.items()}


def _scores(found: NDArray[np.float32]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Lesion or none; cyst or solid."""
    return 1 - found[:, 0], found[:, CYST] / np.maximum(found[:, 1:].sum(axis=1), 1e-9)


def _compare_classifiers(
    ctx: Context,
    frames: Mapping[str, Mapping[str, NDArray[np.uint8]]],
    labels: Mapping[str, NDArray[np.int64]],
    own: Mapping[str, Scores],
) -> None:
    """DenseNet-201 and the classical pipeline on raw frames."""
    rows = [Row("DenseNet-201", "trained", _figures(_scores(own["tuning"][RAW]), _scores(own["test"][RAW]), labels))]
    features = {}
    for part in ("train", "tuning", "test"):
        features[part] = np.stack([frame_features(frame) for frame in frames[part][RAW][:, 0]])
        ctx.progress(f"{ctx.result.name}: features of frames", len(features), 3)
    lesion, ill = labels["train"] > 0, labels["train"] > 0
    kinds: tuple[Kind, ...] = ("SVM", "decision tree")
    for kind in kinds:
        by = fit(kind, features["train"], lesion)
        by_cyst = fit(kind, features["train"][ill], labels["train"][ill] == CYST)
        both = {part: (score(by, features[part]), score(by_cyst, features[part])) for part in ("tuning", "test")}
        rows.append(Row(f"{kind} on features", "classical", _figures(both["tuning"], both["test"], labels)))
    table = Table("Classification of raw frames", METRICS, tuple(rows), _data(labels))
    ctx.result.tables.append(table)
    names = ("DenseNet-201", "SVM on features", "decision tree on features")
    ctx.result.claims.append(ordering(table, names, AUC, "DenseNet-201 over SVM over decision tree at finding lesions"))


def _data(labels: Mapping[str, NDArray[np.int64]]) -> str:
    counts = np.bincount(labels["test"], minlength=len(CLASSES))
    shown = ", ".join(f"{count} {name}" for count, name in zip(counts, CLASSES, strict=True))
    return f"{len(labels['test'])} simulated scenes that no training saw ({shown}); intervals are over scenes."


def _ask(
    ctx: Context, labels: Mapping[str, NDArray[np.int64]], own: Mapping[str, Scores], by_raw: Mapping[str, Scores]
) -> None:
    """The diagnostic question, for a reader who knows the kind of frame, and for one who knows raw frames only."""
    rows = []
    for readers, scores in (("trained on it", own), ("trained on raw", by_raw)):
        for name in VERSIONS:
            if name == RAW and scores is by_raw:
                continue
            figures = _figures(_scores(scores["tuning"][name]), _scores(scores["test"][name]), labels)
            rows.append(Row(f"{name}, {readers}", KINDS[name], figures))
    ctx.result.tables.append(
        Table("Does reconstruction help detection? (DenseNet-201)", METRICS, tuple(rows), _data(labels))
    )
    ill = labels["test"] > 0
    raw = _scores(own["test"][RAW])[0]
    for readers, scores in (("trained on it", own), ("trained on raw frames only", by_raw)):
        for name in (RECONSTRUCTED, STUDY, TRUE):
            gain = auc_difference(_scores(scores["test"][name])[0], raw, ill)
            holds = False if gain["high"] < LEAST_AUC else True if gain["low"] > 0 else None
            text = f"Detection is better on {name} than on raw frames, by a classifier {readers}"
            evidence = f"AUC {gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}] on the same scenes"
            ctx.result.claims.append(Claim(text, holds, evidence))


def _check(
    ctx: Context,
    frames: Mapping[str, NDArray[np.uint8]],
    scenes: Arrays,
    labels: Mapping[str, NDArray[np.int64]],
    own: Mapping[str, Scores],
    by_raw: Mapping[str, Scores],
) -> None:
    """Lesion-free scenes stay lesion-free; lesions keep their contrast."""
    none, truth = labels["test"] == 0, labels["test"]
    alarms, rows = {}, []
    radii, clean = scenes["radius"].astype(np.float32), _first(frames[TRUE])
    for name in VERSIONS:
        images = _first(frames[name])
        alarms[name] = _alarms(own, name, labels)
        values: dict[str, list[float]] = {
            FALSE.key: alarms[name],
            FALSE_RAW.key: _alarms(by_raw, name, labels),
            SPURIOUS.key: [
                spurious_contrast(image, true) for image, true in zip(images[none], clean[none], strict=True)
            ],
        }
        for label, metric in ((CYST, CYSTS_KEPT), (CLASSES.index("solid"), SOLID_KEPT)):
            these = truth == label
            values[metric.key] = contrast_kept(list(images[these]), list(clean[these]), list(radii[these]))
        rows.append(Row(name, KINDS[name], measured(values), note=_worst(values[SPURIOUS.key])))
    metrics = (FALSE, FALSE_RAW, SPURIOUS, CYSTS_KEPT, SOLID_KEPT)
    table = Table("Hallucinations: what is added, what is kept", metrics, tuple(rows), _data(labels))
    ctx.result.tables.append(table)
    for name in (RECONSTRUCTED, STUDY):
        more = paired(alarms[name], alarms[RAW])
        holds = False if more["low"] > 0 else True if more["mean"] <= 0 else None
        shown = f"{more['mean']:+.3f} [{more['low']:+.3f}, {more['high']:+.3f}] false alarms more than on raw frames"
        ctx.result.claims.append(Claim(f"Lesion-free scenes stay lesion-free after {name}", holds, shown))
        ctx.result.claims.append(_contrast_claim(name, {row.method: row for row in rows}[name]))


def _alarms(scores: Mapping[str, Scores], name: str, labels: Mapping[str, NDArray[np.int64]]) -> list[float]:
    """1 for each lesion-free scene that is called a lesion."""
    cut = best_cut(_scores(scores["tuning"][name])[0], labels["tuning"] > 0)
    return [float(v > cut) for v in _scores(scores["test"][name])[0][labels["test"] == 0]]


def _worst(spurious: list[float]) -> str:
    return f"The worst scene has a spurious contrast of {max(spurious):.3f} grey levels (1 is white)."


def _contrast_claim(name: str, row: Row) -> Claim:
    kept = [row.values[metric.key] for metric in (CYSTS_KEPT, SOLID_KEPT) if metric.key in row.values]
    shown = "; ".join(
        f"{kind} {value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
        for kind, value in zip(("cysts", "solid"), kept, strict=False)
    )
    inside = all(1 - ALLOWED <= value["low"] and value["high"] <= 1 + ALLOWED for value in kept)
    outside = any(value["high"] < 1 - ALLOWED or value["low"] > 1 + ALLOWED for value in kept)
    text = f"{name} reproduces lesion contrast within {ALLOWED:.0%} of the ground truth"
    return Claim(text, True if inside else False if outside else None, f"of the true contrast: {shown}")


def _picture(frames: Mapping[str, NDArray[np.uint8]], labels: NDArray[np.int64]) -> Picture:
    chosen = [int(np.flatnonzero(labels == label)[1]) for label in range(len(CLASSES))]
    panels = tuple(
        (name, np.concatenate([frames[name][index, 0] for index in chosen], axis=1) / 255.0) for name in VERSIONS
    )
    return Picture("Three test scenes", panels, "No lesion, a cyst, a solid lesion, from left to right.")
