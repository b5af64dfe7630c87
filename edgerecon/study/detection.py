"""How well scores tell scenes apart: area under the ROC curve, sensitivity and specificity, with intervals over scenes.

    AUC = P(score of a positive > score of a negative) + ½ P(they are equal)

(Hanley & McNeil, Radiology 143(1), 1982). Intervals are percentiles of a bootstrap that draws positives and negatives
apart, so that no draw lacks one of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgerecon.measure.bootstrap import Interval, interval
from edgerecon.study.results import Metric

RESAMPLES = 2000
AUC = Metric("auc", "AUC")
SENSITIVITY = Metric("sensitivity", "sensitivity")
SPECIFICITY = Metric("specificity", "specificity")
Array = NDArray[np.float64]


def auc(scores: ArrayLike, positive: ArrayLike) -> Interval:
    """Of one score and one truth a scene; nan when a kind is absent."""
    wins = _wins(scores, positive)
    return _interval(float(wins.mean()) if wins.size else float("nan"), _resampled(wins))


def auc_difference(a: ArrayLike, b: ArrayLike, positive: ArrayLike) -> Interval:
    """AUC of the scores a less that of b, both of the same scenes, which are drawn together."""
    first, second = _wins(a, positive), _wins(b, positive)
    return _interval(float(first.mean() - second.mean()), _resampled(first) - _resampled(second))


def detection(scores: ArrayLike, positive: ArrayLike, cut: float) -> dict[str, Interval]:
    """ "auc", and "sensitivity" and "specificity" when scores above ``cut`` count as positive."""
    found, truth = np.asarray(scores, np.float64) > cut, np.asarray(positive, bool)
    return {
        "auc": auc(scores, positive),
        "sensitivity": interval(list(found[truth].astype(float))),
        "specificity": interval(list((~found[~truth]).astype(float))),
    }


def best_cut(scores: ArrayLike, positive: ArrayLike) -> float:
    """The threshold of the greatest sensitivity + specificity (Youden, Cancer 3, 1950): for scenes kept for tuning."""
    values, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)
    levels = np.unique(values)
    cuts = np.concatenate([[levels[0] - 1], (levels[1:] + levels[:-1]) / 2, [levels[-1] + 1]])
    gains = [(values[truth] > cut).mean() + (values[~truth] <= cut).mean() for cut in cuts]
    return float(cuts[int(np.argmax(gains))])


def _wins(scores: ArrayLike, positive: ArrayLike) -> Array:
    """(positives, negatives): 1 where the positive scores higher, ½ where both score the same."""
    values, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)
    difference = values[truth][:, None] - values[~truth][None]
    return (np.sign(difference) + 1) / 2


def _resampled(wins: Array) -> Array:
    """(RESAMPLES,) areas; the same draws for every matrix of a shape."""
    rng = np.random.default_rng(0)
    rows, columns = (rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n for n in wins.shape)
    return np.asarray(np.einsum("ri,ri->r", rows @ wins, columns))


def _interval(mean: float, draws: Array) -> Interval:
    low, high = np.percentile(draws, (2.5, 97.5))
    return {"mean": mean, "low": float(low), "high": float(high)}
