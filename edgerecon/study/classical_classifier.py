"""Classification before deep learning: features by formula, PCA and k-means, then an SVM or a decision tree.

Features of a frame: grey-level co-occurrence (Haralick et al., IEEE Trans. SMC 3(6), 1973), local binary patterns
(Ojala et al., IEEE TPAMI 24(7), 2002), moments and percentiles, and the ordered means and spreads of 64 blocks, which
say that some place is darker than the rest, wherever it is. The projection on principal components and the distances to
k-means centres (Coates & Ng, 2012) are what the classifier sees. Its own settings are chosen by cross-validation over
training scenes.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Kind = Literal["SVM", "decision tree"]

LEVELS = 32
DISTANCES, ANGLES = (1, 3), (0.0, np.pi / 2)
PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")
NEIGHBOURS = 8
BLOCKS = 8
COMPONENTS, CENTRES = 16, 12
FOLDS = 4


def frame_features(image: NDArray[np.uint8]) -> Array:
    """(H, W) uint8, H and W ≥ 16 → one vector."""
    return np.concatenate([_co_occurrence(image), _patterns(image), _moments(image), _blocks(image)])


def _co_occurrence(image: NDArray[np.uint8]) -> Array:
    from skimage.feature import graycomatrix, graycoprops

    coarse = image // (256 // LEVELS)
    matrix = graycomatrix(coarse, DISTANCES, ANGLES, LEVELS, symmetric=True, normed=True)
    return np.concatenate([graycoprops(matrix, name).ravel() for name in PROPERTIES])


def _patterns(image: NDArray[np.uint8]) -> Array:
    from skimage.feature import local_binary_pattern

    codes = local_binary_pattern(image, NEIGHBOURS, 1, method="uniform")
    return np.bincount(codes.astype(int).ravel(), minlength=NEIGHBOURS + 2) / codes.size


def _moments(image: NDArray[np.uint8]) -> Array:
    values = image.astype(np.float64).ravel() / 255
    centred = values - values.mean()
    spread = values.std() + 1e-9
    shape = [values.mean(), spread, (centred**3).mean() / spread**3, (centred**4).mean() / spread**4]
    return np.concatenate([shape, np.percentile(values, (1, 5, 25, 50, 75, 95, 99))])


def _blocks(image: NDArray[np.uint8]) -> Array:
    """Ordered means (less the frame's) and spreads of 8×8 blocks; rows and columns that are left over do not count."""
    height, width = (side // BLOCKS for side in image.shape)
    parts = image[: height * BLOCKS, : width * BLOCKS].reshape(BLOCKS, height, BLOCKS, width) / 255.0
    means, spreads = parts.mean(axis=(1, 3)), parts.std(axis=(1, 3))
    return np.concatenate([np.sort((means - means.mean()).ravel()), np.sort(spreads.ravel())])


def fit(kind: Kind, features: Array, positive: NDArray[np.bool_]) -> Any:
    """A scikit-learn pipeline, fitted; ``score`` reads it.

    Args:
        features: (scenes, …), one frame a scene, since folds are over rows. positive: (scenes,), both kinds.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import FeatureUnion, Pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    folds = min(FOLDS, int(positive.sum()), int((~positive).sum()))
    most = len(features) * (folds - 1) // folds
    seen = FeatureUnion(
        [
            ("components", PCA(min(COMPONENTS, most), random_state=0)),
            ("centres", KMeans(min(CENTRES, most), n_init=4, random_state=0)),
        ]
    )
    if kind == "SVM":
        model, grid = SVC(class_weight="balanced"), {"model__C": [0.3, 1, 3, 10]}
    else:
        model = DecisionTreeClassifier(class_weight="balanced", random_state=0)
        grid = {"model__max_depth": [2, 3, 4, 6], "model__min_samples_leaf": [5]}
    pipeline = Pipeline(
        [("scale", StandardScaler()), ("seen", seen), ("scale_again", StandardScaler()), ("model", model)]
    )
    return GridSearchCV(pipeline, grid, cv=folds, scoring="roc_auc").fit(features, positive)


def score(fitted: Any, features: Array) -> Array:
    """(scenes,): the higher, the more likely positive."""
    if hasattr(fitted.best_estimator_, "decision_function"):
        return np.asarray(fitted.decision_function(features), np.float64)
    return np.asarray(fitted.predict_proba(features)[:, 1], np.float64)
