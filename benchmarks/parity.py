"""Whether ours and the reference design say the same: notes, terms, weights, decisions. Both have run in this checkout.

Run   python -m benchmarks.parity      in a checkout with data/, models/tfidf and reference/; prints JSON
- notes    same admissions in the same order, clean texts equal to the character
- terms    ours with scikit-learn's tie rule against scikit-learn's; and how many of the terms we ship are others
- dx       largest difference of a TF-IDF weight, float32 against float64
- dw       largest difference of a weight or intercept, both fitted to scikit-learn's matrix
- excess   largest relative excess of a code's objective over the reference's (negative: ours is lower for every code)
- F1       test micro and macro F1, thresholds from val: the exact optimum in ours, the best of a grid in the reference
- label F1 largest difference of a code's test F1 at one threshold a code: each side's own; ours on both sides
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp
from sklearn.metrics import f1_score

from benchmarks.logistic import Fit, Split, objectives
from benchmarks.reference import OUT
from chartcode.artifacts import Artifact
from chartcode.coders.base import gold_of, labelled_notes
from chartcode.coders.one_vs_rest import OneVsRestLogistic
from chartcode.coders.terms import TfidfTerms
from chartcode.coders.tfidf import TfidfCoder

FEATURES = 200_000
Array = np.ndarray[Any, Any]


def notes() -> dict[str, Any]:
    """Cohort and clean texts."""
    ours, theirs = (pq.ParquetFile(path) for path in (Path("data/silver/notes.parquet"), OUT / "notes.parquet"))
    pairs = zip(*(file.iter_batches(1024, columns=["hadm_id", "text"]) for file in (ours, theirs)), strict=True)
    same_rows, same_texts = True, 0
    for mine, other in pairs:
        same_rows &= mine["hadm_id"].to_pylist() == other["hadm_id"].to_pylist()
        same_texts += pc.sum(pc.equal(mine["text"].cast("large_string"), other["text"].cast("large_string"))).as_py()
    return {"notes": ours.metadata.num_rows, "same cohort": same_rows, "same texts": same_texts}


def terms(train: Any, X: sp.csr_matrix, idf: Array) -> dict[str, Any]:
    """Vocabulary and matrix."""
    wanted = json.loads((OUT / "terms.json").read_text())
    ours = TfidfTerms((1, 2), 5, FEATURES, True, ties="sklearn")
    matrix = ours.fit_transform(batch.column("text") for batch in train.read(["text"]))
    shipped = TfidfCoder.load(Artifact("models/tfidf")).terms.terms_
    found: dict[str, Any] = {
        "terms": len(wanted),
        "terms equal": ours.terms_ == wanted,
        "others by our tie rule": len(set(wanted) - set(shipped)),
    }
    if found["terms equal"] and np.array_equal(matrix.indices, X.indices) and np.array_equal(matrix.indptr, X.indptr):
        found["dx"] = float(np.abs(matrix.data - X.data).max())
        found["d idf"] = float(np.abs(ours.idf_ - idf).max())
    return found


def weights(X: sp.csr_matrix, Y: sp.csr_matrix, coef: Array, intercept: Array) -> dict[str, Any]:
    """Both solvers on scikit-learn's matrix."""
    model = OneVsRestLogistic(class_weight="balanced").fit(X.astype(np.float32), Y)
    split = Split(X, Y)
    ours = objectives(split, Fit("", model.coef_, model.intercept_, 0, 0))
    theirs = objectives(split, Fit("", coef, intercept, 0, 0))
    return {
        "dw": float(max(np.abs(model.coef_ - coef).max(), np.abs(model.intercept_ - intercept).max())),
        "largest weight": float(np.abs(coef).max()),
        "excess": float((ours / theirs - 1).max()),
        "excess, reference's over ours": float((theirs / ours - 1).max()),
    }


def decisions(truth: Array, codes: list[str]) -> dict[str, Any]:
    """What both would code on test."""
    reference = json.loads((OUT / "metrics.json").read_text())
    with np.load(OUT / "scores.npz") as file:
        theirs = file["test"]
    scored = Artifact("data/scores/tfidf").npz("test.npz")
    ours = scored["scores"][:, [scored["codes"].tolist().index(code) for code in codes]]
    chosen = Artifact("data/evaluation/tfidf").json("thresholds.json")
    own = np.array([chosen["per_label"][code] for code in codes], np.float32)
    found: dict[str, Any] = {}
    for kind, mine, other in (
        ("one threshold", ours >= np.float32(chosen["global"]), theirs >= reference["threshold"]),
        ("one a code", ours >= own, theirs >= np.array(reference["thresholds"])),
    ):
        for average in ("micro", "macro"):
            values = [f1_score(truth, said, average=average, zero_division=0) for said in (mine, other)]
            found[f"{average}-F1, {kind}"] = dict(zip(("ours", "reference"), map(float, values), strict=True))
    f1 = [
        f1_score(truth, said, average=None, zero_division=0)
        for said in (ours >= own, theirs >= np.array(reference["thresholds"]), theirs >= own)
    ]
    found["label F1, own thresholds"] = float(np.abs(f1[0] - f1[1]).max())
    found["label F1, our thresholds"] = float(np.abs(f1[0] - f1[2]).max())
    found["scores"] = float(np.abs(ours - theirs).max())
    return found


def main() -> None:
    """Print everything as JSON."""
    silver = Artifact("data/silver")
    gold = gold_of(silver, Artifact("data/gold"))
    train, test = (labelled_notes(silver, gold, split) for split in ("train", "test"))
    X = sp.load_npz(OUT / "train.npz")
    with np.load(OUT / "model.npz") as file:
        model = {name: file[name] for name in file.files}
    labels = json.loads((OUT / "labels.json").read_text())
    found = {
        **notes(),
        "same labels": labels == list(train.codes),
        **terms(train, X, model["idf"]),
        **weights(X, train.labels, model["coef"], model["intercept"]),
        **decisions(test.labels.toarray(), list(test.codes)),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
