"""The loop learns what it should, takes the same steps however it is cut up, and goes on where it was killed."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import expit
from structlog.testing import capture_logs
from torch import Tensor

from chartcode.coders import checkpoints, training
from chartcode.coders.checkpoints import Checkpoint, forget_finished
from chartcode.coders.heads import LabelAttention
from chartcode.coders.scoring import Network, logits_of
from chartcode.coders.training import Labelled, Place, document_loss, train
from chartcode.coders.watching import judged
from chartcode.errors import DataError
from chartcode.evaluation.cohort import make
from chartcode.evaluation.ranking import rank_notes
from tests.coders.tiny import CODE, LABELS, NETWORKS, TinyNetwork, notes, params, start

PLACE = Place("tiny", CODE)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Checkpoints and curves go to a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def trained(place: Place | None = None, dropout: float = 0.1, loss: Any = document_loss, **change: Any) -> TinyNetwork:
    network = TinyNetwork(dropout)
    train(network, notes(64, 1), notes(32, 2), params(**change), place, loss)
    return network


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob(".checkpoints/tiny/*.safetensors"))


def test_the_loss_of_a_tiny_network_falls_as_it_always_did() -> None:
    history = train(TinyNetwork(), notes(64, 1), notes(32, 2), params())
    assert [entry["loss"] for entry in history] == pytest.approx([0.6764, 0.6081, 0.5887, 0.5776, 0.5729], abs=1e-3)


def test_it_learns() -> None:
    network = TinyNetwork()
    history = train(network, notes(300, 1), notes(60, 2), params(epochs=12))
    assert history[0]["map"] < 0.6
    labelled = (notes(60, 2).labels.sum(axis=1) > 0).mean()
    assert history[-1]["map"] > 0.95 * labelled


def test_the_best_epoch_on_val_is_kept_and_patience_ends_the_run() -> None:
    network, val = TinyNetwork(), notes(32, 2)
    history = train(network, notes(64, 1), val, params(epochs=30, lr=0.5, patience=2))
    best = int(np.argmax([entry["map"] for entry in history]))
    assert len(history) == best + 3 < 30  # the second epoch without a better one ends it
    found = expit(logits_of(network, val.documents, np.arange(32), LABELS, 500))
    assert judged(found, val.labels.toarray() > 0)["map"] == history[best]["map"]


def test_val_never_enters_a_weight() -> None:
    one, other = TinyNetwork(), TinyNetwork()
    train(one, notes(64, 1), notes(32, 2), params(epochs=1))
    train(other, notes(64, 1), notes(32, 3), params(epochs=1))
    assert same_bits(one.state_dict(), other.state_dict())


def test_pieces_are_memory_and_never_a_result() -> None:
    one, other = trained(dropout=0, batch_tokens=40), trained(dropout=0, batch_tokens=10_000)
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(weight, other.state_dict()[name], atol=2e-5, rtol=0)


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    first = trained().state_dict()
    torch.manual_seed(99)  # nothing of the process' own randomness enters
    assert same_bits(first, trained().state_dict())
    assert not same_bits(first, trained(seed=2).state_dict())


def test_a_loss_that_is_no_number_stops_with_one_line() -> None:
    with pytest.raises(
        DataError, match=r"^params\.yaml: tiny\.lr: the loss is no number at update \d+ of 40; lower lr"
    ) as e:
        trained(lr=1e38)
    assert "\n" not in str(e.value)


def test_a_gradient_that_is_no_number_stops_before_it_makes_weights() -> None:
    """In the last update of all: no later loss would tell."""

    def root_of_nothing(network: Network, *given: Tensor) -> Tensor:
        return document_loss(network, *given) + torch.sqrt(0 * network.head.output.bias.sum())

    network = TinyNetwork()
    with pytest.raises(DataError, match=r"is no number at update \d+ of 1; lower lr"):
        train(network, notes(8, 1), notes(8, 2), params(epochs=1), None, root_of_nothing)
    assert all(torch.isfinite(weight).all() for weight in network.state_dict().values())


def test_of_one_label_the_epochs_are_told_apart_by_f1() -> None:
    """Every MAP is the same, whatever was learned."""
    one, val = (Labelled(given.documents, given.labels[:, :1]) for given in (notes(64, 1), notes(32, 2)))
    network = TinyNetwork()
    network.head = LabelAttention(8, 1, 8)
    history = train(network, one, val, params(epochs=12, patience=12))
    assert len({entry["map"] for entry in history}) == 1
    found = expit(logits_of(network, val.documents, np.arange(32), 1, 500))
    best = max(entry["micro_f1"] for entry in history)
    assert judged(found, val.labels.toarray() > 0)["micro_f1"] == best > history[0]["micro_f1"]


def short_of_room(limit: int) -> Any:
    """A device on which more than so many tokens do not fit."""

    def loss(network: Network, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        if ids.numel() > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return document_loss(network, ids, mask, targets)

    return loss


def test_out_of_memory_halves_the_tokens_once_and_says_so() -> None:
    with capture_logs() as said:
        found = trained(dropout=0, loss=short_of_room(70))
    halved = [entry for entry in said if "out of memory" in entry["event"]]
    assert [entry["batch_tokens"] for entry in halved] == [60]
    for name, weight in trained(dropout=0).state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], weight, atol=2e-5, rtol=0)
    with pytest.raises(DataError, match=r"tiny\.batch_tokens: out of memory with 60 tokens at once; lower it$"):
        trained(loss=short_of_room(35))


def test_another_error_is_not_taken_for_want_of_room() -> None:
    def broken(*_: Any) -> Tensor:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        trained(loss=broken)


class Interrupted(Exception):
    pass


def breaking_off(after: int) -> Any:
    """Stops the run at that piece."""
    left = [after]

    def loss(*given: Any) -> Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise Interrupted
        return document_loss(*given)

    return loss


@pytest.mark.parametrize("after", [5, 23, 60])
def test_a_broken_run_goes_on_and_ends_with_the_same_bits(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(training, "SECONDS", 0.0)
    unbroken, history = TinyNetwork(), []
    history = train(unbroken, notes(64, 1), notes(32, 2), params())
    with pytest.raises(Interrupted):
        trained(PLACE, loss=breaking_off(after))
    assert len(kept(elsewhere)) == 1
    resumed = TinyNetwork()
    with capture_logs() as said:
        assert train(resumed, notes(64, 1), notes(32, 2), params(), PLACE) == history
    assert [entry["of"] for entry in said if entry["event"] == "goes on from its checkpoint"] == [40]
    assert same_bits(unbroken.state_dict(), resumed.state_dict())
    curve = (elsewhere / ".live/tiny/plots/metrics/tiny/loss.tsv").read_text().splitlines()
    assert len(curve) == 1 + 5, "the epochs before the break are on it too"


def test_a_run_broken_off_while_it_looks_at_val_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    history = train(TinyNetwork(), notes(64, 1), notes(32, 2), params())
    with monkeypatch.context() as patch:
        patch.setattr(training, "SECONDS", 0.0)
        patch.setattr(training, "judged", breaking_off(0))
        with pytest.raises(Interrupted):
            trained(PLACE)
    assert train(TinyNetwork(), notes(64, 1), notes(32, 2), params(), PLACE) == history


def test_a_checkpoint_of_anything_else_is_never_used(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SECONDS", 0.0)
    with pytest.raises(Interrupted):
        trained(PLACE, loss=breaking_off(30))
    others: list[tuple[Any, ...]] = [
        (notes(64, 1), notes(32, 2), params(lr=0.01), PLACE),
        (notes(64, 3), notes(32, 2), params(), PLACE),
        (notes(64, 1), notes(32, 4), params(), PLACE),
        (notes(64, 1), notes(32, 2), params(), Place("tiny", "1" * 64)),
    ]
    for other in others:
        with capture_logs() as said:
            train(TinyNetwork(), *other)
        assert "goes on from its checkpoint" not in {entry["event"] for entry in said}
    assert len(kept(elsewhere)) == 5


def test_a_torn_checkpoint_counts_as_none(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SECONDS", 0.0)
    with pytest.raises(Interrupted):
        trained(PLACE, loss=breaking_off(30))
    (path,) = kept(elsewhere)
    path.write_bytes(path.read_bytes()[:1000])
    assert same_bits(trained(PLACE).state_dict(), trained().state_dict())


def test_what_came_to_its_end_is_forgotten_and_what_did_not_stays(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SECONDS", 0.0)
    with pytest.raises(Interrupted):
        trained(PLACE, loss=breaking_off(30))
    broken = kept(elsewhere)
    whole = trained(PLACE, seed=2)
    with capture_logs() as said:  # killed while it scored: nothing is trained again
        assert same_bits(trained(PLACE, seed=2, loss=breaking_off(0)).state_dict(), whole.state_dict())
    assert "epoch" not in {entry["event"] for entry in said}
    forget_finished("tiny")
    assert kept(elsewhere) == broken


def test_two_runs_do_not_share_a_checkpoint() -> None:
    checkpoint = Checkpoint("tiny", "0123456789abcdef0")
    other = Checkpoint("tiny", "0123456789abcdef0")
    wanted = pytest.raises(DataError, match="another process trains this very model")
    with checkpoint.held(), wanted, other.held():
        pass


def test_checkpoints_lie_at_the_root_of_the_dvc_repository(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queued experiment runs in a copy that is thrown away."""
    monkeypatch.setenv("DVC_ROOT", str(elsewhere / "root"))
    trained(PLACE, epochs=1)
    assert len(kept(elsewhere / "root")) == 1
    forget_finished("tiny")
    assert kept(elsewhere / "root") == []


def test_a_judgement_of_val_is_what_evaluate_says() -> None:
    from sklearn.metrics import average_precision_score, f1_score

    rng = np.random.default_rng(0)
    truth, scores = rng.random((50, 12)) < 0.2, rng.random((50, 12)).astype(np.float32)
    truth[:3] = False
    found = judged(scores, truth)
    expected = [average_precision_score(t, s) if t.any() else 0 for t, s in zip(truth, scores, strict=True)]
    assert found["map"] == pytest.approx(np.mean(expected), abs=1e-6)
    cohort = make("val", list("abcdefghijkl"), truth, scores, patients=np.arange(50))
    assert found["map"] == pytest.approx(rank_notes(cohort, ()).average_precision.mean(), abs=1e-6)
    f1 = max(f1_score(truth.ravel(), scores.ravel() >= t) for t in np.unique(scores))
    assert found["micro_f1"] == pytest.approx(f1, abs=1e-6)
    assert judged(scores, np.zeros_like(truth)) == {"map": 0.0, "micro_f1": 0.0}


def until(path: Path, updates: int, deadline: float = 120) -> Iterator[None]:
    """Wait until a checkpoint is so far."""
    start = time.monotonic()
    while time.monotonic() - start < deadline:
        for found in kept(path):
            held = checkpoints.Checkpoint.__new__(Checkpoint)
            held.path = found
            state = held.load()
            if state is not None and state[1]["update"] >= updates:
                return
        time.sleep(0.05)
        yield


def unbroken(kind: str, dropout: float) -> dict[str, Tensor]:
    network = NETWORKS[kind](dropout)
    train(network, notes(64, 1), notes(32, 2), params(), None, document_loss)
    return network.state_dict()


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_run_killed_with_no_warning_ends_as_an_unbroken_one(elsewhere: Path, kind: str) -> None:
    """kill -9 of the process, the same again, and again."""
    for updates in (7, 25):
        process = start(elsewhere, "resumed.safetensors", kind, pause=0.02, dropout=0.1)
        for _ in until(elsewhere, updates):
            assert process.is_alive(), "it ended before it was killed"
        process.kill()
        process.join()
    assert not (elsewhere / "resumed.safetensors").exists()
    process = start(elsewhere, "resumed.safetensors", kind, dropout=0.1)
    process.join()
    assert process.exitcode == 0
    assert same_bits(load_file(elsewhere / "resumed.safetensors"), unbroken(kind, 0.1))


@pytest.mark.parametrize("kind", NETWORKS)
def test_two_processes_take_the_steps_of_one(elsewhere: Path, kind: str) -> None:
    """Over gloo, with the variables that `accelerate launch` sets; the second ends without a file of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = []
    for rank in "01":
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        processes.append(start(elsewhere, f"process{rank}.safetensors", kind, ACCELERATE_USE_CPU="true", **told))
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert not (elsewhere / "process1.safetensors").exists()
    together = load_file(elsewhere / "process0.safetensors")
    for name, weight in unbroken(kind, 0.0).items():
        # A key's bias moves no softmax: its gradient is rounding alone, of which Adam makes steps nonetheless.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(together[name], weight, atol=1e-5, rtol=0)
