"""Gradient-boosted trees, a sum of small decision trees for each code, as plain arrays.

scikit-learn's HistGradientBoostingClassifier fits them (LightGBM's algorithm: Ke et al. 2017); its trees are then
copied into arrays and walked by a loop of our own, so that a stored model is npz, never pickle, and its bytes are the
trees alone. A code's logit is its prior plus the value of the leaf that each of its trees sends the note to.

Trees are added until `patience` of them have not lowered the cross-entropy of val, and those behind its minimum are
dropped. A code is fitted by one thread, several codes at once, so that no sum depends on the number of threads.
Legend: N notes, F features, L labels, R trees of all labels, D nodes of all trees.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field
from tqdm import tqdm

from chartcode.artifacts import Artifact, Writer
from chartcode.errors import ArtifactError
from chartcode.kernels import kernel
from chartcode.parallel import cores, in_order
from chartcode.params import Positive, Section, Seed

Array = np.ndarray[Any, Any]
LEAF = -1  # in place of a feature
FILE = "trees.npz"


class TreeParams(Section):
    """Knobs of the trees."""

    learning_rate: Annotated[float, Field(gt=0, le=1)]
    trees: Positive
    leaves: Annotated[int, Field(ge=2)]
    min_leaf: Positive
    patience: Positive
    class_weight: Literal["balanced"] | None
    min_positives: Positive
    seed: Seed


class Trees(NamedTuple):
    """The trees of all labels, nodes one behind the other; a node's children stand behind it."""

    prior: Array  # float64 (L,) logits
    first_tree: Array  # int64 (L + 1,) of each label
    root: Array  # int64 (R,) node
    feature: Array  # int32 (D,), LEAF where a value is given
    threshold: Array  # float64 (D,), at most this goes left
    missing_left: Array  # bool (D,)
    left: Array  # int64 (D,) nodes
    right: Array  # int64 (D,)
    value: Array  # float64 (D,), of leaves

    def logits(self, features: Array, labels: Array) -> Array:
        """Logits float64 (N, K) of K labels, by number; features are (N, F), NaN where missing."""
        found = np.empty((len(features), len(labels)))
        _walk(np.ascontiguousarray(features, np.float64), np.asarray(labels, np.int64), *self, found)
        return found

    def save(self, writer: Writer) -> None:
        """As FILE."""
        writer.npz(FILE, **self._asdict())

    @classmethod
    def load(cls, artifact: Artifact, labels: int, features: int) -> Self:
        """Trees of so many labels on so many features. Raises ArtifactError when they are of others, or no trees."""
        held, trouble = artifact.npz(FILE), f"{artifact.folder}/{FILE}: "
        of_nodes = ("feature", "threshold", "missing_left", "left", "right", "value")
        if sorted(held) != sorted(cls._fields) or len({held[name].shape for name in of_nodes}) > 1:
            raise ArtifactError(f"{trouble}written by another version; fit the coder anew")
        found = cls(**held)
        inner = np.flatnonzero(found.feature != LEAF)
        children = np.stack([found.left[inner], found.right[inner]])
        if (
            len(found.prior) != labels
            or len(found.first_tree) != labels + 1
            or found.feature.max(initial=0) >= features
        ):
            raise ArtifactError(f"{trouble}trees of other codes or features than coder.json's; fit the coder anew")
        # Then a walk begins at a node, stays among them and ends, whatever the numbers: the kernel looks at no bounds.
        if (
            (children <= inner).any()
            or (children >= len(found.feature)).any()
            or (found.feature < LEAF).any()
            or (found.root < 0).any()
            or (found.root >= len(found.feature)).any()
            or found.first_tree[0] != 0
            or found.first_tree[-1] != len(found.root)
            or (np.diff(found.first_tree) < 0).any()
        ):
            raise ArtifactError(f"{trouble}no trees; fit the coder anew")
        return found


def fit_trees(params: TreeParams, features: Array, truth: Any, val_features: Array, val_truth: Any) -> Trees:
    """Trees of every label; features are float64 (N, F), truth is CSR (N, L); val stops a label's trees.

    A label with fewer than `min_positives` train notes, or as few without it, has its share as its score.
    """
    columns, val_columns = truth.tocsc(), val_truth.tocsc()
    # scikit-learn finds no bins for a feature that no note has; no tree asks a constant.
    features, val_features = (np.where(np.isnan(features).all(axis=0), 0.0, x) for x in (features, val_features))

    def of_label(label: int) -> tuple[float, list[Array]]:
        y, y_val = (m[:, [label]].toarray().ravel() for m in (columns, val_columns))
        return _of_label(params, features, y, val_features, y_val)

    labels = tqdm(range(truth.shape[1]), desc="boosted codes", disable=None, leave=False)
    return _arrays(in_order(cores(), of_label, labels))


def fit_all(features: Array, truth: Array, **options: Any) -> Trees:
    """Trees of one label, as many as the options of scikit-learn's classifier say; features (N, F), truth (N,)."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(**options)
    with threadpool_limits(1, "openmp"):
        model.fit(features, truth)
    return _arrays([(float(model._baseline_prediction.item()), [tree.nodes for (tree,) in model._predictors])])


def _of_label(params: TreeParams, x: Array, y: Array, x_val: Array, y_val: Array) -> tuple[float, list[Array]]:
    """A label's prior, a logit, and the nodes of its trees as scikit-learn has them."""
    positives = int(y.sum())
    if min(positives, len(y) - positives) < params.min_positives:
        return float(np.log((positives + 0.5) / (len(y) - positives + 0.5))), []
    from sklearn.ensemble import HistGradientBoostingClassifier  # scoring needs none
    from threadpoolctl import threadpool_limits

    weight, weight_val = None, None
    if params.class_weight == "balanced":
        of_class = len(y) / (2 * np.array([len(y) - positives, positives]))
        weight, weight_val = of_class[y], of_class[y_val]
    model = HistGradientBoostingClassifier(
        learning_rate=params.learning_rate,
        max_iter=params.trees,
        max_leaf_nodes=params.leaves,
        min_samples_leaf=params.min_leaf,
        early_stopping=True,
        n_iter_no_change=params.patience,
        tol=0.0,
        random_state=params.seed,
    )
    with threadpool_limits(1, "openmp"):
        model.fit(x, y, sample_weight=weight, X_val=x_val, y_val=y_val, sample_weight_val=weight_val)
    best = int(np.argmax(model.validation_score_))  # trees; the score before the first one stands first
    return float(model._baseline_prediction.item()), [tree.nodes for (tree,) in model._predictors[:best]]


def _arrays(labels: Iterable[tuple[float, list[Array]]]) -> Trees:
    """The labels' trees one behind the other."""
    prior, first_tree, nodes = [], [0], []
    for of_label, trees in labels:
        prior.append(of_label)
        first_tree.append(first_tree[-1] + len(trees))
        nodes += trees
    root = np.append(0, np.cumsum([len(tree) for tree in nodes], dtype=np.int64))
    behind = np.repeat(root[:-1], np.diff(root))  # (D,) the root of each node's tree

    def all_of(name: str, dtype: Any) -> Array:
        return np.concatenate([np.empty(0, dtype), *(tree[name].astype(dtype) for tree in nodes)])

    leaf = all_of("is_leaf", bool)
    return Trees(
        prior=np.array(prior),
        first_tree=np.array(first_tree, np.int64),
        root=root[:-1],
        feature=np.where(leaf, LEAF, all_of("feature_idx", np.int32)).astype(np.int32),
        threshold=np.where(leaf, 0, all_of("num_threshold", np.float64)),
        missing_left=all_of("missing_go_to_left", bool) & ~leaf,
        left=np.where(leaf, 0, all_of("left", np.int64) + behind),
        right=np.where(leaf, 0, all_of("right", np.int64) + behind),
        value=np.where(leaf, all_of("value", np.float64), 0),
    )


@kernel()
def _walk(
    features: Array, labels: Array, prior: Array, first_tree: Array, root: Array, feature: Array, threshold: Array,
    missing_left: Array, left: Array, right: Array, value: Array, out: Array,
) -> None:  # fmt: skip
    for row in range(len(features)):
        for place in range(len(labels)):
            logit = prior[labels[place]]
            for tree in range(first_tree[labels[place]], first_tree[labels[place] + 1]):
                node = root[tree]
                while feature[node] >= 0:
                    found = features[row, feature[node]]
                    goes_left = missing_left[node] if np.isnan(found) else found <= threshold[node]
                    node = left[node] if goes_left else right[node]
                logit += value[node]
            out[row, place] = logit
