"""A network's turn in a long study, and the page that shows how far the study has come."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgerecon.core.files import write
from edgerecon.report.page import number, page, table
from edgerecon.study.page import curve
from edgerecon.study.panels import png
from edgerecon.study.plateau import CUT, History, Plan, train_for, write_history
from edgerecon.study.results import Picture
from edgerecon.study.training import Curve, Draw, Schedule
from edgerecon.study.turns import Turns
from edgerecon.workshop.train.steps import Batch, Step, Supervised

CHECKS, APART, LONGEST, ADVERSARIAL = 5, 100, 200, 20
"""Checks within the steps of quick; steps between two at most; and times those of quick, where a training ends at the
latest. Eight checks are longer than what the running mean remembers, 500 steps."""
PROGRESS, SAMPLE = "progress.html", ".sample.png"
RENEWED_S = 20
"""How often a browser asks for the page again."""
LEAST_PIXELS = 8


def train_in_turns(
    turns: Turns, step: Step, draw: Draw, check: Draw, schedule: Schedule, path: Path, *, key: str, seed: int
) -> Curve:
    """Give ``step.network`` the turn that it has now, see ``train_for``; renew the page after every check and turn.

    Args:
        schedule: of the quick profile: its rate is the first, its steps are the first turn; all, when it is fixed.
    """
    times = 1 if schedule.fixed else LONGEST if isinstance(step, Supervised) else ADVERSARIAL
    plan = Plan(schedule.rate, max(1, min(APART, schedule.steps // CHECKS)), schedule.steps * times)
    name = f"{path.parent.name}/{path.stem}"

    def on_check(history: History, network: nn.Module, batch: Batch) -> None:
        write_history(path, history)
        write(path.with_suffix(SAMPLE), _sample(network, batch))
        write_progress(turns, name)
        budget = turns.budget_s or turns.used_s
        turns.progress(f"{name}: step {history.done}, best error {history.best:.4g}", int(turns.used_s), int(budget))

    turn = turns.turn(name, schedule.steps)
    history = train_for(turn, step, draw, check, plan, path, key=key, seed=seed, on_check=on_check)
    write_progress(turns, name)
    return history.curve


def write_progress(turns: Turns, current: str) -> None:
    """progress.html in the study's folder: time used and left, and every network's state, curve and newest sample.

    Raises:
        EdgereconError: it cannot be written.
    """
    networks = turns.networks()
    left = "until every network has reached its plateau" if turns.budget_s is None else f"{_clock(turns.left_s)} left"
    finished = sum(one.finished for one in networks.values())
    body = (
        f'<meta http-equiv="refresh" content="{RENEWED_S}"><p class="brand">edgerecon study</p><h1>A long study</h1>'
        f'<p class="verdict">{_clock(turns.used_s)} used, {left}; {finished} of {len(networks)} networks have reached '
        f"their plateau.</p><p>Now: <b>{escape(current)}</b></p>{_networks(networks, turns.shares)}"
        f"{''.join(_network(turns.folder, name, one) for name, one in networks.items())}"
    )
    write(turns.folder / PROGRESS, page("edgerecon study: progress", body).encode())


def _networks(networks: dict[str, History], shares: dict[str, float]) -> str:
    rows = [
        (
            name,
            f"{one.done:,}",
            _clock(one.seconds),
            number(one.best, 5),
            f"{one.gain:.1%}",
            "finished" if one.finished else f"rate × {CUT**one.cuts:.2g}",
            _clock(shares[name]) if name in shares else "–",
        )
        for name, one in networks.items()
    ]
    return table(("Network", "Steps", "Trained", "Best error", "Last turn's gain", "State", "Turn"), rows, ".nnnn.n")


def _network(folder: Path, name: str, history: History) -> str:
    sample = folder / f"{name}{SAMPLE}"
    shown = ""
    if sample.is_file():
        data = base64.b64encode(sample.read_bytes()).decode()
        shown = f'<img alt="a held-out sample of {escape(name, quote=True)}" src="data:image/png;base64,{data}">'
    curves = curve("training", history.curve) + curve("held out", history.checks)
    return f"<h3>{escape(name)}</h3><div class='columns'>{curves}</div>{shown}"


@torch.no_grad()
def _sample(network: nn.Module, batch: Batch) -> bytes:
    """The first image of a held-out batch: given, made of it, and wanted, as far as each is an image."""
    parts = {"given": batch[0], "made": network(batch[0]), "wanted": batch[1]}
    panels = tuple((label, _image(part)) for label, part in parts.items() if _is_image(part))
    return png(Picture("sample", panels or (("no image", np.zeros((LEAST_PIXELS, 8 * LEAST_PIXELS))),)))


def _is_image(part: Tensor) -> bool:
    return part.ndim >= 3 and not part.is_complex() and min(part.shape[-2:]) >= LEAST_PIXELS


def _image(part: Tensor) -> np.ndarray:
    """Of a batch the first frame or slice, of a sequence its last."""
    return np.asarray(part[0].reshape(-1, *part.shape[-2:])[-1].float().cpu().numpy())


def _clock(seconds: float) -> str:
    """As h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
