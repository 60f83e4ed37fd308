"""Nothing about 1 to 10 patients can be read, or worked out by brute force, from what is published."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartcode.evaluation.cohort import Cohort, make
from chartcode.evaluation.discrimination import over_all
from chartcode.evaluation.headline import headline, label_scores
from chartcode.evaluation.ranking import rank_notes
from chartcode.evaluation.thresholds import ChosenThresholds
from chartcode.params import EvaluateParams
from chartcode.privacy import SMALLEST, Guarded, merge_small, publish, publish_parts, small
from tests.evaluation import oracles

PARAMS = EvaluateParams(threshold="global", calibrate="none", cross_fit=False, top_k=[1, 3], bootstrap_rounds=0, seed=1)


def test_a_small_cell_is_one_to_ten() -> None:
    assert [n for n in range(20) if small(n)] == list(range(1, 11))


def test_a_number_is_withheld_when_a_count_or_its_complement_is_small() -> None:
    numbers = {
        "fine": Guarded(0.5, (11, 20)),
        "few": Guarded(0.5, (10, 20)),
        "none": Guarded.count(0),
        "rest": Guarded.count(95, 100),
        "undefined": Guarded(math.nan),
    }
    assert publish(numbers, 100) == {"few": None, "fine": 0.5, "none": 0, "rest": None, "undefined": None}


def test_a_group_of_ten_patients_publishes_nothing() -> None:
    assert publish({"f1": Guarded(0.5), "labels": Guarded(50)}, 10) == {"f1": None, "labels": None}


def consistent(value: float, whole: int) -> set[int]:
    """Counts k for which k / whole rounds to the published value."""
    near = round(value * whole)
    reach = int(whole * 1e-4) + 2
    return {k for k in range(max(0, near - reach), min(whole, near + reach) + 1) if round(k / whole, 4) == value}


def worked_out(shown: dict, ks: list[int]) -> dict[str, set[int]]:
    """What a stubborn reader finds by trying every count that fits the published totals and rates."""
    totals = [key for key in ("n", "patients", "positives", "n_labelled") if shown[key] is not None]
    found: dict[str, set[int]] = {key: {shown[key]} for key in totals}
    n, positives = shown["n"], shown["positives"]
    if n:
        if shown["patients"]:
            found["notes beyond the first"] = {n - shown["patients"]}
        if shown["n_labelled"] is not None:
            found["unlabelled"] = {n - shown["n_labelled"]}
        if shown["exact_match"] is not None:
            found["exact"] = consistent(shown["exact_match"], n)
            found["not exact"] = {n - k for k in found["exact"]}
        if shown["micro_recall"] == 0 and shown["example_f1"] is not None:
            # Nothing called right: only a note without true and without called codes counts.
            found["empty and left empty"] = consistent(shown["example_f1"], n)
    found |= worked_out_of_lists(shown, ks) | worked_out_of_decisions(shown)
    if n:
        for floor in ("micro_f1_predict_all", "macro_f1_predict_all"):
            # One label: its floor is 2p / (1 + p).
            if shown[floor] is None or (floor.startswith("macro") and shown["labels_with_positives"] != 1):
                continue
            cells = n * (1 if floor.startswith("macro") else shown["labels"])
            fits = {m for m in range(cells + 1) if round(2 * m / (cells + m), 4) == shown[floor]}
            found[f"positives by {floor}"], found[f"negatives by {floor}"] = fits, {cells - m for m in fits}
    if positives and shown["n_labelled"]:
        found["second and later labels"] = {positives - shown["n_labelled"]}
    return found


def worked_out_of_lists(shown: dict, ks: list[int]) -> dict[str, set[int]]:
    """The same, from the ranking numbers."""
    n, positives, labelled = shown["n"], shown["positives"], shown["n_labelled"]
    if not n:
        return {}
    found: dict[str, set[int]] = {}
    alone = labelled is not None and positives == labelled  # every labelled note has one label
    if shown["labels"] == 1:
        alone = True
    for key in ("map", "r_precision", *(f"p_at_{k}" for k in ks)):
        pairs = [(key, f"{key}_labelled")]
        if alone:
            pairs.append(("p_at_1", "r_at_1"))
        for over_all_notes, over_labelled in pairs:
            whole, part = shown.get(over_all_notes), shown.get(over_labelled)
            if whole and part:
                fits = {k for k in range(1, n + 1) if abs(part * k / n - whole) <= 5e-5 * (1 + k / n)}
                name = f"by {over_all_notes} and {over_labelled}"
                found[f"labelled {name}"], found[f"unlabelled {name}"] = fits, {n - k for k in fits}
                if positives is not None:
                    found[f"second and later labels {name}"] = {positives - k for k in fits}
    hits: dict[tuple[int, str], set[int]] = {}  # by list length and the number that gives it away
    for k in ks:
        rate, recall = shown[f"p_at_{k}"], shown[f"r_at_{k}"]
        if rate is not None:
            hits[k, f"p_at_{k}"] = consistent(rate, k * n)
        if labelled and shown[f"p_at_{k}_labelled"] is not None:
            hits[k, f"p_at_{k}_labelled"] = consistent(shown[f"p_at_{k}_labelled"], k * labelled)
        if labelled and alone and recall is not None:
            hits[k, f"r_at_{k}"] = consistent(recall, labelled)
    if alone and shown["r_precision"] is not None:
        hits[1, "r_precision"] = consistent(shown["r_precision"], n)
    if alone and labelled and shown["r_precision_labelled"] is not None:
        hits[1, "r_precision_labelled"] = consistent(shown["r_precision_labelled"], labelled)
    for (k, key), known in hits.items():
        wide = min(k, shown["labels"])
        found[f"hits at {k} by {key}"] = known
        found[f"false at {k} by {key}"] = {wide * n - h for h in known}
        if positives is not None:
            found[f"missed at {k} by {key}"] = {positives - h for h in known}
        if labelled is not None:
            found[f"false at {k} on labelled notes by {key}"] = {wide * labelled - h for h in known}
        for (less, other), fewer in hits.items():
            if less < k:
                gained = {a - b for a in known for b in fewer if a >= b}
                more = (wide - min(less, shown["labels"])) * n
                found[f"gained from {less} to {k} by {other} and {key}"] = gained
                found[f"false from {less} to {k} by {other} and {key}"] = {more - g for g in gained}
    if alone and labelled:
        for key, notes in (("map", n), ("map_labelled", labelled)):
            if shown[key] is not None:
                # A right first suggestion counts 1, any other a half at most.
                short = (1 - shown[key]) * notes - (notes - labelled)
                found[f"first suggestion wrong by {key}"] = {
                    k for k in range(labelled + 1) if k / 2 - 5e-5 * notes <= short <= k + 5e-5 * notes
                }
    return found


def worked_out_of_decisions(shown: dict) -> dict[str, set[int]]:
    """The same, from precision, recall and F1."""
    positives, recall, precision = shown["positives"], shown["micro_recall"], shown["micro_precision"]
    if not positives or recall is None:
        return {}
    tp = consistent(recall, positives)
    found = {"tp": tp, "fn": {positives - k for k in tp}}
    if precision:
        fits = {
            (k, called)
            for k in tp
            for called in range(k, int(k / max(precision - 1e-4, 1e-4)) + 2)
            if called and round(k / called, 4) == precision
        }
        found["fp"] = {called - k for k, called in fits}
        if shown["n"]:
            found["tn"] = {shown["n"] * shown["labels"] - positives - called + k for k, called in fits}
        every = shown["micro_f1_all_codes"]
        if every:
            found["outside"] = {
                gold - positives
                for k, called in fits
                for gold in range(positives, positives + 200)
                if round(2 * k / (called + gold), 4) == every
            }
    return found


def published(ward: Cohort, tau: float = 0.5, params: EvaluateParams = PARAMS) -> dict:
    """What evaluate would write about a ward."""
    own = np.full(ward.labels, tau, dtype=np.float32)
    chosen = ChosenThresholds(ward.codes, np.float32(tau), own, np.zeros(ward.labels, dtype=bool))
    ranking = rank_notes(ward, params.top_k)
    numbers = headline(ward, chosen.arrays(), label_scores(ward), over_all(ward), ranking, params)
    return publish(numbers, ward.size)


@pytest.mark.parametrize("block", range(20))
def test_1000_random_wards_give_no_small_count_away(block: int) -> None:
    said: Counter[str] = Counter()
    for case in range(50):
        seed = block * 50 + case
        rng = np.random.default_rng(seed)
        notes = int(rng.integers(1, 70))
        ward = oracles.ward(
            seed,
            notes,
            int(rng.integers(1, 6)),
            patients=int(rng.integers(1, 60)),
            prevalence=float(rng.choice([0.02, 0.2, 0.6, 0.95, 5])),
            outside=int(rng.integers(0, 2)),
            signal=float(rng.choice([0.3, 0.5, 0.8])),
        )
        if rng.random() < 0.3:  # the main diagnosis alone: one label a note, and some notes without
            truth = np.eye(ward.labels, dtype=np.int8)[rng.integers(0, ward.labels, notes)]
            truth[rng.random(notes) < rng.choice([0, 0.2])] = 0
            noise = rng.random(truth.shape)
            ward = make("test", ward.codes, truth, 0.4 * truth + 0.6 * noise, patients=ward.patients)
        shown = published(ward, float(rng.choice([0.2, 0.5, 0.8])))
        said.update(key for key, value in shown.items() if value is not None)
        for name, counts in worked_out(shown, PARAMS.top_k).items():
            # A leak is to be sure of a small cell: every count that fits lies in 1..10.
            assert not counts or not all(small(count) for count in counts), (seed, name, counts)
    # Withholding everything would pass, and be useless.
    assert said.total() > 500
    assert min(said[key] for key in ("n", "map", "p_at_1", "p_at_3", "r_at_3", "micro_f1", "auprc_micro")) >= 5, said


def one_label_ward(wrong: int, notes: int = 100) -> Cohort:
    """Notes with one label each, suggested first, but for `wrong` of them."""
    truth = np.eye(2, dtype=np.int8)[np.arange(notes) % 2]
    scores = 0.2 + 0.6 * truth
    scores[:wrong] = scores[:wrong, ::-1]
    return make("test", ["A", "B"], truth, scores, patients=np.arange(notes))


@pytest.mark.parametrize("wrong", [5, 95])
def test_five_wrong_first_suggestions_cannot_be_counted(wrong: int) -> None:
    params = PARAMS.model_copy(update={"bootstrap_rounds": 20})
    shown = published(one_label_ward(wrong), params=params)
    assert shown["n"] == shown["n_labelled"] == shown["positives"] == 100
    telling = ("p_at_1", "r_at_1", "r_precision", "map", "micro_f1", "micro_precision", "example_f1", "exact_match")
    told = {key for key, value in shown.items() if key.startswith(telling) and value is not None}
    assert told == {"micro_f1_predict_all"}  # that is the prevalence


def test_fifteen_wrong_first_suggestions_are_told() -> None:
    shown = published(one_label_ward(15))
    assert (shown["p_at_1"], shown["p_at_1_labelled"], shown["r_at_1"], shown["map"]) == (0.85, 0.85, 0.85, 0.925)
    assert shown["r_precision"] is None  # with one label a note it is p_at_1 under another name


def test_three_notes_with_a_code_outside_the_labels_are_not_told() -> None:
    ward = one_label_ward(15)
    ward = make("test", ward.codes, ward.truth, ward.scores, patients=ward.patients, n_codes=[2, 2, 2] + [1] * 97)
    shown = published(ward)
    assert (shown["map"], shown["micro_f1"]) == (0.925, 0.85)
    assert shown["map_all_codes"] is shown["micro_f1_all_codes"] is None


@pytest.mark.parametrize("wrong", [1, 89])
def test_a_macro_f1_close_to_its_ends_does_not_count_the_errors_or_the_hits(wrong: int) -> None:
    """Three labels of 30 notes each: 1 - macro times all called and true bounds the errors, macro the hits."""
    truth = np.eye(3, dtype=np.int8)[np.arange(90) % 3]
    scores = 0.2 + 0.6 * truth
    scores[:wrong] = 0.2
    ward = make("test", list("ABC"), truth, scores, patients=np.arange(90))
    shown = published(ward)
    told = {key for key, value in shown.items() if key.startswith("macro_f1") and value is not None}
    assert told == {"macro_f1_predict_all"}


def test_areas_close_to_one_do_not_count_the_pairs_that_are_misplaced() -> None:
    """One false pair before one true pair: each AUROC is 1 - 1 / (true pairs x false pairs) of its label, and tells."""
    truth = np.eye(2, dtype=np.int8)[np.arange(60) % 2]
    scores = 0.2 + 0.6 * truth
    scores[:2] = 0.5
    shown = published(make("test", ["A", "B"], truth, scores, patients=np.arange(60)))
    assert {key: shown[key] for key in shown if key.startswith("au")} == dict.fromkeys(
        ("auprc_macro", "auprc_micro", "auroc_macro", "auroc_micro")
    )
    apart = published(make("test", ["A", "B"], truth, 0.2 + 0.6 * truth, patients=np.arange(60)))
    assert apart["auroc_macro"] == apart["auprc_micro"] == 1


def test_the_floor_of_three_labels_does_not_give_the_smallest_away() -> None:
    truth = (np.arange(100)[:, None] < [5, 40, 60]).astype(np.int8)
    shown = published(make("test", list("ABC"), truth, 0.5 * truth, patients=np.arange(100)))
    assert shown["positives"] == 105

    def floor(support: tuple[int, ...]) -> float:
        return round(sum(2 * m / (100 + m) for m in support) / 3, 4)

    every = [(a, b, 105 - a - b) for a in range(1, 36) for b in range(a, 53) if b <= 105 - a - b <= 100]
    fits = [support for support in every if floor(support) == floor((5, 40, 60))]
    assert len(fits) > 1 and all(small(min(support)) for support in fits)
    assert shown["macro_f1_predict_all"] is shown["macro_f1_lift"] is None


@pytest.mark.parametrize("positives", [1, 10])
def test_a_split_with_few_positives_or_few_labelled_notes_has_no_ranking_numbers(positives: int) -> None:
    few = np.zeros((100, 4), dtype=np.int8)
    few[:positives, 0] = 1
    many_on_few = few.copy()
    many_on_few[:positives] = 1
    for truth in (few, many_on_few, 1 - few):
        scores = np.random.default_rng(0).random(truth.shape)
        shown = published(make("test", list("ABCD"), truth, scores, patients=np.arange(100)))
        rank = ("p_at", "r_at", "r_precision", "map", "auprc", "auroc", "brier", "ece", "macro_f1_predict_all")
        told = {key for key, value in shown.items() if key.startswith(rank) and value is not None}
        assert not told, told
        assert shown["n"] == 100


@pytest.mark.parametrize(("patients", "told"), [(10, False), (11, True)])
def test_many_labelled_notes_of_few_patients_are_few_patients(patients: int, told: bool) -> None:
    truth = np.zeros((200, 2), dtype=np.int8)
    truth[:100, 0] = truth[:50, 1] = 1
    scores = np.random.default_rng(0).random(truth.shape)
    owners = np.append(np.arange(100) % patients, np.arange(100, 200))
    shown = published(make("test", ["A", "B"], truth, scores, patients=owners))
    keys = ("n_labelled", "positives", "map", "map_labelled", "p_at_1_labelled", "r_at_1", "auprc_micro")
    keys += ("micro_f1", "micro_recall", "micro_f1_predict_all", "macro_f1")
    assert {key for key in keys if shown[key] is not None} == (set(keys) if told else set())


def test_a_gain_is_not_told_across_a_withheld_list_length() -> None:
    """4 more hits from k = 1 to 2 and none from 2 to 3: withholding k = 2 alone would leave 1 and 3 to be compared."""
    truth = np.zeros((100, 4), dtype=np.int8)
    truth[:, 0] = 1
    scores = np.tile([0.9, 0.8, 0.7, 0.6], (100, 1))
    scores[:44] = [0.6, 0.9, 0.8, 0.7]  # the true code comes last
    scores[:4] = [0.8, 0.9, 0.7, 0.6]  # or second
    ward = make("test", list("ABCD"), truth, scores, patients=np.arange(100))
    shown = published(ward, params=PARAMS.model_copy(update={"top_k": [1, 2, 3]}))
    assert shown["p_at_1"] == 0.56
    assert shown["p_at_2"] is shown["p_at_3"] is None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=15))
def test_merged_bins_show_no_small_cell_and_keep_every_one(pairs: list[tuple[int, int]]) -> None:
    cells = [(true + false, true, float(true)) for true, false in pairs if true + false]
    merged = merge_small(cells)
    for size, true, _ in merged:
        assert not small(true)
        assert not small(size - true)
    if merged:
        assert sum(size for size, _, _ in merged) == sum(size for size, _, _ in cells)
        assert sum(true for _, true, _ in merged) == sum(true for _, true, _ in cells)
    else:
        total, true = sum(size for size, _, _ in cells), sum(true for _, true, _ in cells)
        assert not cells or small(true) or small(total - true)


COUNTS = st.tuples(st.integers(0, 40), st.integers(0, 40))


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(COUNTS, COUNTS), min_size=1))
def test_a_part_withheld_does_not_follow_from_the_whole_less_the_others(
    tables: dict[str, tuple[tuple[int, int], tuple[int, int]]],
) -> None:
    parts = {name: {"x": Guarded(0.5, x), "y": Guarded(0.25, y)} for name, (x, y) in tables.items()}
    shown = publish_parts(parts, {name: sum(x) for name, (x, _) in tables.items()})
    assert list(shown) == list(tables)
    for key, place in (("x", 0), ("y", 1)):
        told = {name for name in tables if shown[name][key] is not None}
        untold = set(tables) - told
        for name in told:
            assert not any(small(count) for count in tables[name][place])
        if untold and told:  # the reader knows the whole, and every count of the parts that are told
            assert len(untold) > 1
            assert not any(small(sum(tables[name][place][i] for name in untold)) for i in (0, 1))
    if all(not small(count) for pair in tables.values() for counts in pair for count in counts):
        assert all(None not in numbers.values() for numbers in shown.values())


def test_large_bins_stay_as_they_are() -> None:
    cells = [(100, 0, 1.0), (100, 30, 20.0), (100, 60, 60.0)]
    assert merge_small(cells) == cells
    assert SMALLEST == 11
