"""Every claim of the five papers, and of the issues that asked for more, with what can explain that it does not hold.

The systems decide the claims; this table says which there are, so that a report also lists those it has not decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from edgerecon.study import reasons
from edgerecon.study.results import Claim, Result, Trained

NOT_RUN = "not run in this profile yet"
OPENCV = ("Telea", "Navier–Stokes")
NONE: Mapping[str, Trained] = MappingProxyType({})


@dataclass(frozen=True)
class Stated:
    """A claim, and what more training could change of it.

    Attributes:
        system: decides it. text: as the system words it. why: see ``reasons``.
        better, worse: networks that the claim praises, and that it puts below them; see ``settled``.
    """

    system: str
    text: str
    why: reasons.Reason | None = None
    better: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()


def _recurrent() -> list[Stated]:
    frames, rows, cnn = ("conv-rnn",), ("row-rnn",), ("cnn",)
    return [
        Stated("recurrent", *rest)
        for rest in (
            ("RNN-ReLU over frames is better than CNN, CNN than SVM", None, frames, cnn),
            ("RNN-ReLU over rows is better than CNN, CNN than SVM", reasons.runs_along_the_gaps, rows, cnn),
            ("RNN-ReLU reaches MSE ≤ 0.006", None, frames),
            ("RNN-ReLU reaches SSIM ≥ 0.925", None, frames),
            ("RNN-ReLU reaches a PSNR of 70.35 dB", reasons.another_scale),
            ("Carried state fills in missing data better than a single frame", None, frames, cnn),
        )
    ]


def _tomography() -> list[Stated]:
    (ct, low), mri = reasons.CT_TABLES, reasons.MRI_TABLE
    sparse, variable, lines = ("ct-sparse",), ("mri-variable",), ("ultrasound-lines",)
    goals = ("PSNR, dB at least 35", "SSIM at least 0.92")
    found: list[tuple[str, reasons.Reason | None, tuple[str, ...]]] = [
        (f"U-Net over total variation over FBP ({ct})", reasons.flat_and_exact(ct), sparse),
        (f"U-Net over total variation over FBP ({low})", reasons.flat_and_exact(low), ("ct-low-dose",)),
        *((f"U-Net, residual: {goal} ({ct})", None, sparse) for goal in goals),
        ("U-Net over total-variation compressed sensing over zero-filled", None, variable),
        (f"U-Net: {goals[1]} ({mri})", reasons.one_coil_is_too_few, variable),
        ("U-Net over TV inpainting", None, lines),
        ("U-Net over cubic interpolation", None, lines),
        ("A 512×512 CT slice through the U-Net in under 1 s on 2 CPU cores", None, ()),
    ]
    patterns = [
        Stated(
            "tomography",
            f"{adaptive} sampling over {fixed} sampling, U-Net at the same rate",
            None,
            (f"mri-{adaptive}",),
            (f"mri-{fixed.split()[0]}",),
        )
        for adaptive in ("greedy", "learned")
        for fixed in ("random", "variable density")
    ]
    guessed = Stated("tomography", f"U-Net: {goals[0]} ({mri})", reasons.energy_never_measured)
    return [*(Stated("tomography", *rest) for rest in found), *patterns, guessed]


def _multicoil_mri() -> list[Stated]:
    title = "Multi-coil MRI at 4×, variable density sampling"
    unet, unrolled = (f"multicoil-variable-4x-{name}" for name in ("unet", "unrolled"))
    texts = [f"U-Net: {goal} ({title})" for goal in ("PSNR, dB at least 35", "SSIM at least 0.92")]
    texts += [f"U-Net over the best classical method ({title})"]
    return [
        *(Stated("multicoil_mri", text, reasons.coils_are_summed, (unet,)) for text in texts),
        Stated("multicoil_mri", f"Unrolled network 2 dB over the U-Net ({title})", None, (unrolled,), (unet,)),
    ]


def _textured_ct() -> list[Stated]:
    title = "Textured CT from 60 views"
    texts = [f"U-Net over tuned total variation over FBP ({title})"]
    texts += [f"U-Net, residual: {goal} ({title})" for goal in ("PSNR, dB at least 35", "SSIM at least 0.92")]
    return [Stated("textured_ct", text, None, ("textured-ct",)) for text in texts]


def _sparse_pet() -> list[Stated]:
    return [Stated("sparse_pet", "U-Net over maximum likelihood over FBP (Sparse PET)", None, ("sparse-pet",))]


def _restoration() -> list[Stated]:
    found = [
        Stated("restoration", f"{task}: the CNN restores better than the best classical method", None, (network,))
        for task, network in (
            ("Denoising", "denoising-cnn"),
            ("Artefact reduction", "artefacts-cnn"),
            ("Contrast enhancement", "contrast-cnn"),
        )
    ]
    gan, cnn = ("inpainting-gan",), ("inpainting-cnn",)
    for what in ("lines", "regions"):
        of_gan = (f"Inpainting of missing {what}", "hole_psnr_db", "GAN", "CNN")
        lead, moved = reasons.adversary_costs_the_lead(*of_gan, OPENCV), reasons.adversary_moves_off_the_mean(*of_gan)
        text = f"A GAN fills missing {what} closer to the truth than OpenCV's methods"
        found += [
            Stated("restoration", text, lead, gan),
            Stated("restoration", f"The adversary brings missing {what} closer to the truth", moved, gan, cnn),
        ]
    return found


def _enhancement() -> list[Stated]:
    dense, whole = ("enhance-dense",), ("enhance-conv",)
    return [
        Stated("enhancement", text, None, better, worse)
        for text, better, worse in (
            ("The CNN with fully connected layers enhances better than classical methods", dense, ()),
            ("The fully convolutional CNN enhances better than classical methods", whole, ()),
            ("It does so also where brightness and contrast are forgiven", whole, ()),
            ("The fully convolutional form is better than the fully connected one", whole, dense),
        )
    ]


def _super_resolution() -> list[Stated]:
    goal = "The PSNR-oriented generator of ESRGAN reaches 33 dB at ×2"
    found = [Stated("super_resolution", goal, None, ("rrdb-x2",))]
    for scale in (2, 4):
        found += [
            Stated("super_resolution", f"Learned over bicubic at ×{scale}: {name}", None, (f"{name.lower()}-x{scale}",))
            for name in ("SRCNN", "SRResNet", "RRDB")
        ]
        order = reasons.adversaries_decide_the_order(f"Enlargement ×{scale}")
        srcnn, srgan, esrgan = (f"{name}-x{scale}" for name in ("srcnn", "srgan", "esrgan"))
        text = f"ESRGAN over SRCNN over SRGAN in PSNR at ×{scale}"
        found.append(Stated("super_resolution", text, order, (esrgan, srcnn), (srcnn, srgan)))
    return found


def _diagnosis() -> list[Stated]:
    shipped, own, truth = "compact-despeckle (shipped)", "U-Net (study)", "ground truth"
    raw, unet = "densenet201-raw", "unet"
    text = "DenseNet-201 over SVM over decision tree at finding lesions"
    found = [Stated("diagnosis", text, None, (raw,))]
    for name, network in ((shipped, "despeckled"), (own, "unet"), (truth, "true")):
        better = f"Detection is better on {name} than on raw frames, by a classifier trained on"
        reason, nothing = reasons.never_saw_such_frames(name), reasons.adds_nothing_to_the_frame(name)
        found += [
            Stated("diagnosis", f"{better} it", nothing, (f"densenet201-{network}",), (raw,)),
            Stated("diagnosis", f"{better} raw frames only", reason, (raw,), (raw,)),
        ]
    for name, networks in ((shipped, ()), (own, (unet,))):
        found += [
            Stated("diagnosis", f"Lesion-free scenes stay lesion-free after {name}", None, networks),
            Stated("diagnosis", f"{name} reproduces lesion contrast within 5% of the ground truth", None, networks),
        ]
    return found


STATED: tuple[Stated, ...] = (
    *_recurrent(),
    *_tomography(),
    *_multicoil_mri(),
    *_textured_ct(),
    *_sparse_pet(),
    *_restoration(),
    *_enhancement(),
    *_super_resolution(),
    *_diagnosis(),
)


def verdicts(results: Sequence[Result], trained: Mapping[str, Trained] = NONE) -> list[tuple[Stated, Claim]]:
    """Every stated claim with its verdict; None where these results have none. Only what does not hold is explained.

    Args:
        trained: SYSTEM/NETWORK → how far it came, in a study that trains to plateaus.
    """
    by_system = {result.name: result for result in results}
    decided = {(result.name, claim.text): claim for result in results for claim in result.claims}
    found = []
    for stated in STATED:
        claim = decided.get((stated.system, stated.text), Claim(stated.text, None, NOT_RUN))
        reason = stated.why(by_system) if stated.why and claim.holds is False else None
        found.append((stated, settled(stated, replace(claim, explained=reason or ""), trained)))
    return found


def settled(stated: Stated, claim: Claim, trained: Mapping[str, Trained]) -> Claim:
    """The verdict, undecided where a loser was trained too little, with a word on networks that still improve.

    What does not hold is settled when the praised networks have reached their plateaus; of an adversarial one, which
    has none, when the claim is explained and no network below it took more steps; so is a claim about one network on
    two kinds of frames, to both of which its steps are the same. What holds is settled when the networks below them
    have reached theirs, or took as many steps as they did.
    """
    better, worse = ([_of(stated, name, trained) for name in names] for names in (stated.better, stated.worse))
    going_on = {one.name: one for one in (*better, *worse) if one and not one.finished}
    steps = max((one.steps for one in better if one), default=0)
    if not going_on:
        return claim
    if claim.holds:
        turned = any(one and not one.finished and one.steps < steps for one in worse)
    else:
        improving = [one for one in better if one and not one.finished]
        alone = stated.better == stated.worse
        most = max((one.steps for one in worse if one), default=0)
        fair = [alone or (one.falling is None and one.steps >= most) for one in improving]
        turned = bool(improving) and not (claim.explained and all(fair))
    stopped = f"Stopped at the budget: {'; '.join(map(str, going_on.values()))}"
    return replace(claim, holds=None if turned else claim.holds, evidence=f"{claim.evidence}. {stopped}")


def _of(stated: Stated, name: str, trained: Mapping[str, Trained]) -> Trained | None:
    return trained.get(f"{stated.system}/{name}")


def of_system(result: Result, results: Sequence[Result], trained: Mapping[str, Trained] = NONE) -> list[Claim]:
    """The claims of one of the results, as they are settled."""
    found = {claim.text: claim for stated, claim in verdicts(results, trained) if stated.system == result.name}
    return [found.get(claim.text, claim) for claim in result.claims]


def listed(results: Sequence[Result], trained: Mapping[str, Trained] = NONE) -> list[dict[str, Any]]:
    """The verdicts, ready for JSON."""
    return [
        {"system": stated.system, "text": claim.text, "holds": claim.holds}
        | {"explained": claim.explained or None, "evidence": claim.evidence}
        for stated, claim in verdicts(results, trained)
    ]


def count(claims: Sequence[dict[str, Any]]) -> str:
    """How many hold, are explained, do not hold without an explanation, and are undecided."""
    explained = sum(claim["holds"] is False and bool(claim["explained"]) for claim in claims)
    holds, fails, undecided = (sum(claim["holds"] is word for claim in claims) for word in (True, False, None))
    return (
        f"{len(claims)} claims: {holds} hold, {explained} cannot hold and are explained, {fails - explained} do not "
        f"hold, {undecided} are undecided"
    )
