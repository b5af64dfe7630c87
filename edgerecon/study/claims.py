"""Every claim of the five papers, and of the issues that asked for more, with what can explain that it does not hold.

The systems decide the claims; this table says which there are, so that a report also lists those it has not decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgerecon.study import reasons
from edgerecon.study.results import Claim, Result

NOT_RUN = "not run in this profile yet"
OPENCV = ("Telea", "Navier–Stokes")


@dataclass(frozen=True)
class Stated:
    """A claim. system: decides it. text: as the system words it. why: see ``reasons``."""

    system: str
    text: str
    why: reasons.Reason | None = None


def _recurrent() -> list[Stated]:
    return [
        Stated("recurrent", text, why)
        for text, why in (
            ("RNN-ReLU over frames is better than CNN, CNN than SVM", None),
            ("RNN-ReLU over rows is better than CNN, CNN than SVM", reasons.runs_along_the_gaps),
            ("RNN-ReLU reaches MSE ≤ 0.006", None),
            ("RNN-ReLU reaches SSIM ≥ 0.925", None),
            ("RNN-ReLU reaches a PSNR of 70.35 dB", reasons.another_scale),
            ("Carried state fills in missing data better than a single frame", None),
        )
    ]


def _tomography() -> list[Stated]:
    ct, low, mri = "CT from 60 views", "Low-dose CT, 180 views", reasons.MRI_TABLE
    goals = ("PSNR, dB at least 35", "SSIM at least 0.92")
    texts = [f"U-Net over total variation over FBP ({title})" for title in (ct, low)]
    texts += [f"U-Net, residual: {goal} ({ct})" for goal in goals]
    texts += ["U-Net over total-variation compressed sensing over zero-filled", f"U-Net: {goals[1]} ({mri})"]
    texts += [
        f"{adaptive} sampling over {fixed} sampling, U-Net at the same rate"
        for adaptive in ("greedy", "learned")
        for fixed in ("random", "variable density")
    ]
    texts += ["U-Net over TV inpainting", "U-Net over cubic interpolation"]
    texts += ["A 512×512 CT slice through the U-Net in under 1 s on 2 CPU cores"]
    guessed = Stated("tomography", f"U-Net: {goals[0]} ({mri})", reasons.energy_never_measured)
    return [*(Stated("tomography", text) for text in texts), guessed]


def _multicoil_mri() -> list[Stated]:
    title = "Multi-coil MRI at 4×, variable density sampling"
    texts = [f"U-Net: {goal} ({title})" for goal in ("PSNR, dB at least 35", "SSIM at least 0.92")]
    texts += [f"U-Net over the best classical method ({title})", f"Unrolled network 2 dB over the U-Net ({title})"]
    return [Stated("multicoil_mri", text) for text in texts]


def _textured_ct() -> list[Stated]:
    title = "Textured CT from 60 views"
    texts = [f"U-Net over tuned total variation over FBP ({title})"]
    texts += [f"U-Net, residual: {goal} ({title})" for goal in ("PSNR, dB at least 35", "SSIM at least 0.92")]
    return [Stated("textured_ct", text) for text in texts]


def _restoration() -> list[Stated]:
    found = [
        Stated("restoration", f"{task}: the CNN restores better than the best classical method")
        for task in ("Denoising", "Artefact reduction", "Contrast enhancement")
    ]
    for what in ("lines", "regions"):
        of_gan = (f"Inpainting of missing {what}", "hole_psnr_db", "GAN", "CNN")
        lead, moved = reasons.adversary_costs_the_lead(*of_gan, OPENCV), reasons.adversary_moves_off_the_mean(*of_gan)
        found += [
            Stated("restoration", f"A GAN fills missing {what} closer to the truth than OpenCV's methods", lead),
            Stated("restoration", f"The adversary brings missing {what} closer to the truth", moved),
        ]
    return found


def _enhancement() -> list[Stated]:
    texts = (
        "The CNN with fully connected layers enhances better than classical methods",
        "The fully convolutional CNN enhances better than classical methods",
        "It does so also where brightness and contrast are forgiven",
        "The fully convolutional form is better than the fully connected one",
    )
    return [Stated("enhancement", text) for text in texts]


def _super_resolution() -> list[Stated]:
    found = [Stated("super_resolution", "The PSNR-oriented generator of ESRGAN reaches 33 dB at ×2")]
    for scale in (2, 4):
        names = ("SRCNN", "SRResNet", "RRDB")
        found += [Stated("super_resolution", f"Learned over bicubic at ×{scale}: {name}") for name in names]
        order = reasons.adversaries_decide_the_order(f"Enlargement ×{scale}")
        found.append(Stated("super_resolution", f"ESRGAN over SRCNN over SRGAN in PSNR at ×{scale}", order))
    return found


def _diagnosis() -> list[Stated]:
    shipped, own, truth = "compact-despeckle (shipped)", "U-Net (study)", "ground truth"
    found = [Stated("diagnosis", "DenseNet-201 over SVM over decision tree at finding lesions")]
    for name in (shipped, own, truth):
        better = f"Detection is better on {name} than on raw frames, by a classifier trained on"
        found += [
            Stated("diagnosis", f"{better} it"),
            Stated("diagnosis", f"{better} raw frames only", reasons.never_saw_such_frames(name)),
        ]
    for name in (shipped, own):
        found += [
            Stated("diagnosis", f"Lesion-free scenes stay lesion-free after {name}"),
            Stated("diagnosis", f"{name} reproduces lesion contrast within 5% of the ground truth"),
        ]
    return found


STATED: tuple[Stated, ...] = (
    *_recurrent(),
    *_tomography(),
    *_multicoil_mri(),
    *_textured_ct(),
    *_restoration(),
    *_enhancement(),
    *_super_resolution(),
    *_diagnosis(),
)


def verdicts(results: Sequence[Result]) -> list[tuple[Stated, Claim]]:
    """Every stated claim with its verdict; None where these results have none. Only what does not hold is explained."""
    by_system = {result.name: result for result in results}
    decided = {(result.name, claim.text): claim for result in results for claim in result.claims}
    found = []
    for stated in STATED:
        claim = decided.get((stated.system, stated.text), Claim(stated.text, None, NOT_RUN))
        reason = stated.why(by_system) if stated.why and claim.holds is False else None
        found.append((stated, replace(claim, explained=reason or "")))
    return found


def explain(results: Sequence[Result]) -> None:
    """Write the explanations into the claims of the results."""
    found = {(stated.system, claim.text): claim.explained for stated, claim in verdicts(results)}
    for result in results:
        result.claims = [replace(one, explained=found.get((result.name, one.text), "")) for one in result.claims]


def listed(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The verdicts, ready for JSON."""
    return [
        {"system": stated.system, "text": claim.text, "holds": claim.holds}
        | {"explained": claim.explained or None, "evidence": claim.evidence}
        for stated, claim in verdicts(results)
    ]


def count(claims: Sequence[dict[str, Any]]) -> str:
    """How many hold, are explained, do not hold without an explanation, and are undecided."""
    explained = sum(claim["holds"] is False and bool(claim["explained"]) for claim in claims)
    holds, fails, undecided = (sum(claim["holds"] is word for claim in claims) for word in (True, False, None))
    return (
        f"{len(claims)} claims: {holds} hold, {explained} cannot hold and are explained, {fails - explained} do not "
        f"hold, {undecided} are undecided"
    )
