"""The reference design: chunked pandas, `re`, scikit-learn with its usual options; one process a stage.

Run   python -m benchmarks.reference bronze|silver|gold|linear|metrics [--jobs N]
      in a checkout with data/raw/synthetic and data/split; writes reference/
What a project of this kind does:
- bronze   every table by `pd.read_csv(chunksize)`, ids as integers, the rest as text, to Parquet; nothing is checked
- silver   the cohort by merges of ids (text is picked up last), notes cleaned by compiled `re`; clean text alone is
           kept, where ours also keeps sections and the way back to the source
- gold     the commonest codes of train by our own split, which it reads; MultiLabelBinarizer
- linear   TfidfVectorizer and OneVsRestClassifier(LogisticRegression(liblinear)), in float64 as they come
- metrics  F1 at each threshold of GRID on val, for all codes and for each; then scikit-learn's metrics on test. No
           interval, no calibration, no curve, all of which ours has
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from benchmarks.scale import Cost, part
from chartcode.tables.schemas import RAW_TABLES

RAW, OUT, SPLIT = Path("data/raw/synthetic"), Path("reference"), Path("data/split/splits.parquet")
CHUNK = 10_000  # rows of a table at once
LABELS, MIN_TOKENS, ICD_VERSION, NOTE_TYPES = 50, 100, 10, ["DS"]
GRID = np.arange(0.05, 0.96, 0.05)  # thresholds tried on val
SPLITS = ("train", "val", "test")

# The rules of tests/tables/reference_cleaning.py, which also traces where each piece came from, as substitutions.
_BRACKETED = r"\[\*\*[^\]\r\n]{0,200}\*\*\]"
_BRACKETS = re.compile(rf"_*{_BRACKETED}(?:_|{_BRACKETED})*")
_UNDERSCORES = re.compile(r"__+")  # three stay three
_LINE_END = re.compile(r"[ \t]+(?=[\r\n]|\Z)")
_BLANKS = re.compile(r"([ \t])[ \t]+")
_MASK = "_" * 3


def clean(text: str) -> str:
    """A note as silver has it."""
    if "[**" in text:
        text = _BRACKETS.sub(_MASK, text)
    text = _BLANKS.sub(r"\1", _LINE_END.sub("", _UNDERSCORES.sub(_MASK, text)))
    return text.replace("\r\n", "\n")


def bronze(_: argparse.Namespace) -> dict[str, Cost]:
    """Raw tables to Parquet."""
    folder = OUT / "bronze"
    folder.mkdir(parents=True, exist_ok=True)
    for table in RAW_TABLES.values():
        kinds = {c.name: "Int64" if c.kind in ("id", "integer") else "str" for c in table.columns}
        writer = None
        for chunk in pd.read_csv(RAW / table.path, dtype=kinds, chunksize=CHUNK):
            rows = pa.Table.from_pandas(chunk, preserve_index=False)
            writer = writer or pq.ParquetWriter(folder / f"{table.name}.parquet", rows.schema, compression="zstd")
            writer.write_table(rows)
        if writer:
            writer.close()
    return {}


def silver(_: argparse.Namespace) -> dict[str, Cost]:
    """One clean note an admission, and the codes of the cohort."""
    tables = {name: OUT / "bronze" / f"{name}.parquet" for name in RAW_TABLES}
    stay = ["subject_id", "hadm_id"]
    notes = pd.read_parquet(tables["discharge"], columns=["note_id", *stay, "note_type", "note_seq"])
    codes = pd.read_parquet(tables["diagnoses_icd"], columns=[*stay, "icd_code", "icd_version"])
    codes = codes[codes["icd_version"] == ICD_VERSION]
    notes = notes[notes["note_type"].isin(NOTE_TYPES)]
    notes = notes.merge(pd.read_parquet(tables["admissions"], columns=[*stay, "admittime", "race"]), on=stay)
    notes = notes.merge(pd.read_parquet(tables["patients"]), on="subject_id")
    notes = notes.merge(codes[stay].drop_duplicates(), on=stay)
    notes = notes.sort_values([*stay, "note_seq", "note_id"]).drop_duplicates("hadm_id", keep="last")
    texts = pd.read_parquet(tables["discharge"], columns=["note_id", "text"]).set_index("note_id")["text"]
    notes["text"] = [clean(text) for text in texts.loc[notes["note_id"]]]
    del texts
    counted = [(len(words), sha256(" ".join(words).encode()).digest()) for words in map(str.split, notes["text"])]
    notes["n_tokens"], notes["words"] = [count for count, _ in counted], [digest for _, digest in counted]
    notes = notes[notes["n_tokens"] >= MIN_TOKENS]
    notes = notes[notes.groupby("words")["subject_id"].transform("nunique") == 1]
    notes.drop(columns="words").to_parquet(OUT / "notes.parquet", compression="zstd", index=False)
    codes[codes["hadm_id"].isin(notes["hadm_id"])].to_parquet(OUT / "codes.parquet", index=False)
    return {}


def gold(_: argparse.Namespace) -> dict[str, Cost]:
    """Labels chosen on train, and the matrix of them."""
    from sklearn.preprocessing import MultiLabelBinarizer

    notes = pd.read_parquet(OUT / "notes.parquet", columns=["hadm_id"])
    notes = notes.merge(pd.read_parquet(SPLIT, columns=["hadm_id", "split"]), on="hadm_id")
    codes = pd.read_parquet(OUT / "codes.parquet", columns=["hadm_id", "icd_code"]).drop_duplicates()
    train = codes[codes["hadm_id"].isin(notes.loc[notes["split"] == "train", "hadm_id"])]
    counts = train["icd_code"].value_counts().to_dict()
    labels = sorted(counts, key=lambda code: (-counts[code], code))[:LABELS]
    of_note = codes[codes["icd_code"].isin(labels)].groupby("hadm_id")["icd_code"].agg(list).to_dict()
    every = [of_note.get(hadm, []) for hadm in notes["hadm_id"]]
    sp.save_npz(OUT / "labels.npz", MultiLabelBinarizer(classes=labels, sparse_output=True).fit_transform(every))
    (OUT / "labels.json").write_text(json.dumps(labels))
    notes.to_parquet(OUT / "splits.parquet", index=False)
    return {}


def truths() -> dict[str, sp.csr_matrix]:
    """Labels of each split (N, L)."""
    split = pd.read_parquet(OUT / "splits.parquet")["split"].to_numpy()
    labels = sp.load_npz(OUT / "labels.npz").tocsr()
    return {name: labels[np.flatnonzero(split == name)] for name in SPLITS}


def linear(given: argparse.Namespace) -> dict[str, Cost]:
    """TF-IDF, one logistic regression a code, scores of val and test."""
    from joblib import parallel_config
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from threadpoolctl import threadpool_limits

    costs: dict[str, Cost] = {}
    truth = truths()
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), min_df=5, max_features=200_000, sublinear_tf=True, strip_accents="unicode"
    )
    with part(costs, "tf-idf"):
        texts = pd.read_parquet(OUT / "notes.parquet", columns=["text"])["text"].to_numpy()
        split = pd.read_parquet(OUT / "splits.parquet")["split"].to_numpy()
        train = vectorizer.fit_transform(texts[split == "train"])
    model = OneVsRestClassifier(
        LogisticRegression(C=1.0, class_weight="balanced", solver="liblinear", max_iter=1000), n_jobs=given.jobs
    )
    # liblinear gains nothing from more BLAS threads, which burn CPU; it lets go of the GIL, so jobs share the matrix.
    with part(costs, "logistic regression"), threadpool_limits(1, "blas"), parallel_config("threading"):
        model.fit(train, truth["train"])
    with part(costs, "scoring"):
        scores = {name: model.predict_proba(vectorizer.transform(texts[split == name])) for name in ("val", "test")}
    np.savez(OUT / "scores.npz", **scores)
    coef = np.vstack([each.coef_ for each in model.estimators_])
    intercept = np.concatenate([each.intercept_ for each in model.estimators_])
    np.savez(OUT / "model.npz", coef=coef, intercept=intercept, idf=vectorizer.idf_)
    terms = vectorizer.get_feature_names_out()
    (OUT / "terms.json").write_text(json.dumps(terms.tolist()))
    costs["whole"] = so_far()  # what follows is for the comparison alone
    train.sort_indices()
    sp.save_npz(OUT / "train.npz", train, compressed=False)
    return costs


def metrics(_: argparse.Namespace) -> dict[str, Cost]:
    """Thresholds from val, metrics of test."""
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    truth = {name: matrix.toarray() for name, matrix in truths().items() if name != "train"}
    with np.load(OUT / "scores.npz") as file:
        scores = {name: file[name] for name in ("val", "test")}

    def best(true: Any, said: Any, **how: Any) -> float:
        return float(max(GRID, key=lambda threshold: f1_score(true, said >= threshold, zero_division=0, **how)))

    one = best(truth["val"], scores["val"], average="micro")
    own = [best(truth["val"][:, label], scores["val"][:, label]) for label in range(truth["val"].shape[1])]
    true, said = truth["test"], scores["test"]
    found: dict[str, Any] = {"threshold": one, "thresholds": own}
    for kind, called in (("global", said >= one), ("per_label", said >= np.array(own))):
        for average in ("micro", "macro"):
            found[f"{average}_f1_{kind}"] = float(f1_score(true, called, average=average, zero_division=0))
    both = (true.sum(axis=0) > 0) & (true.sum(axis=0) < len(true))  # a code of one class has no curve
    for average in ("micro", "macro"):
        found[f"auroc_{average}"] = float(roc_auc_score(true[:, both], said[:, both], average=average))
        found[f"auprc_{average}"] = float(average_precision_score(true[:, both], said[:, both], average=average))
    (OUT / "metrics.json").write_text(json.dumps(found))
    return {}


def so_far() -> Cost:
    """What this process took since it was started."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    wall = time.time() - psutil.Process().create_time()
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


STAGES: dict[str, Callable[[argparse.Namespace], dict[str, Cost]]] = {
    function.__name__: function for function in (bronze, silver, gold, linear, metrics)
}


def main() -> None:
    """Run one stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--jobs", type=int, default=1, help="labels fitted side by side (default: 1)")
    given = parser.parse_args()
    costs = STAGES[given.stage](given)
    (OUT / f"{given.stage}.cost.json").write_text(json.dumps(costs))


if __name__ == "__main__":
    main()
