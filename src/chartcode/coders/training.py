"""The one training loop: AdamW, warmup, clipped gradients, early stop on val, resume; it knows no coder.

An update learns from `batch_size` notes; they are computed in pieces of `batch_tokens` tokens whose gradients are
added. Under `accelerate launch` the pieces are dealt to the processes and gradients added over all, so one process and
several take the same steps (an update of fewer pieces than processes is cut smaller: then dropout drops others).
Randomness has no state: order comes from (seed, epoch), dropout from (seed, update, piece). A killed run therefore goes
on from its checkpoint as if nothing had been, on a CPU to the last bit.
The weights of the best epoch on val are kept; val never enters a gradient.
Legend: N notes, B notes of a piece, T tokens, L labels.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Annotated, Literal, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from accelerate import Accelerator
from pydantic import Field
from scipy.special import expit
from torch import Tensor
from tqdm import tqdm

from chartcode import __version__
from chartcode.coders.batches import Array, Documents, computed, pieces, updates
from chartcode.coders.checkpoints import Checkpoint, digest, digest_of_weights, pack, unpack
from chartcode.coders.processes import add_over_processes, one_goes_on
from chartcode.coders.scoring import Network, computing, logits_of, tensors
from chartcode.coders.watching import judged, live_curves
from chartcode.errors import DataError
from chartcode.logs import log
from chartcode.params import Fraction, Positive, Section, Seed

CLIP = 1.0  # largest norm of an update's gradient
SECONDS = 60.0  # between checkpoints, at least
SHARE = 20  # of the time between them that writing one may take, one part in so many
# Of a network, ids and mask (B, T) and targets (B, L): a number a note (B,).
Loss = Callable[[Network, Tensor, Tensor, Tensor], Tensor]


class TrainingParams(Section):
    """Knobs of the loop; a coder's params inherit them."""

    seed: Seed
    batch_size: Positive
    batch_tokens: Positive
    lr: Annotated[float, Field(gt=0)]
    warmup_ratio: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    epochs: Positive
    patience: Positive
    select_on: Literal["map", "micro_f1"]
    precision: Literal["fp32", "bf16"]
    compile: bool
    threads: Positive


class Labelled(NamedTuple):
    """Notes as token numbers, and their labels int8 (N, L)."""

    documents: Documents
    labels: sp.csr_matrix


class Place(NamedTuple):
    """Whose training it is, and the digest of the code that trains: names of the checkpoint and of live curves."""

    coder: str
    code: str


def document_loss(network: Network, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of each note (B,), mean over labels: no class weights, which would spoil calibration."""
    logits = network(ids, mask)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)


def train(
    network: Network,
    train_notes: Labelled,
    val_notes: Labelled,
    params: TrainingParams,
    place: Place | None = None,
    loss: Loss = document_loss,
) -> list[dict[str, float]]:
    """Train in place, to the best epoch's weights; the history, an entry an epoch: loss, map, micro_f1.

    Without a `place` nothing is kept for a resume and no curves are drawn. Processes of `accelerate launch` other than
    the first end here (SystemExit): what follows is one process' work.
    Raises DataError when the loss is not a number, or there is no room for half of `batch_tokens` either.
    """
    accelerator = Accelerator()
    with ExitStack() as stack:
        stack.enter_context(computing(params.threads, params.precision, accelerator.device))
        run = _Run(network.to(accelerator.device), train_notes, val_notes, params, loss, accelerator, place)
        if place is not None and accelerator.is_main_process:
            stack.enter_context(run.checkpoint.held())
            run.curves = stack.enter_context(live_curves(place.coder))
        run.to_the_end()
    one_goes_on(accelerator)
    return run.state.history


@dataclass
class _State:
    """What a resume needs besides tensors."""

    update: int = 0  # done so far
    tokens: int = 0  # computed at once
    lost: float = 0.0  # sum of the notes' losses in this epoch
    history: list[dict[str, float]] = field(default_factory=list)
    best: int = -1  # epoch
    done: bool = False


class _Run:
    def __init__(
        self,
        network: Network,
        train_notes: Labelled,
        val_notes: Labelled,
        params: TrainingParams,
        loss: Loss,
        accelerator: Accelerator,
        place: Place | None,
    ) -> None:
        self.network, self.params, self.accelerator = network, params, accelerator
        self.train_notes, self.val_notes = train_notes, val_notes
        self.section = params.section
        self.log = log(self.section)
        self.state = _State(tokens=params.batch_tokens)
        self.curves: Callable[[dict[str, float]], None] = lambda _: None
        self.optimizer = torch.optim.AdamW(network.groups(params.lr, params.weight_decay), lr=params.lr, fused=True)
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.best = _copy(network)
        self.lengths = train_notes.documents.lengths
        self.per_epoch = math.ceil(len(self.lengths) / params.batch_size)
        self.total = self.per_epoch * params.epochs
        self.saved, self.pause = time.monotonic(), SECONDS
        self.loss = loss
        self.place = place
        if place is not None:
            self.checkpoint = Checkpoint(place.coder, self._key(place))
        if params.compile:
            network.compile(dynamic=True)

    def _key(self, place: Place) -> str:
        """All that decides the weights."""
        arrays = []
        for documents, labels in (self.train_notes, self.val_notes):
            held = labels.tocsr()
            arrays += [documents.ids, documents.starts, held.indptr.astype(np.int64), held.indices.astype(np.int64)]
        versions = [f"{name} {version(name)}" for name in ("torch", "transformers", "numpy", "scipy", "scikit-learn")]
        world = (*versions, __version__, self.accelerator.num_processes, self.accelerator.device.type)
        params = json.dumps(self.params.model_dump(mode="json"), sort_keys=True)
        return digest(
            place.code, params, repr(world), digest_of_weights(self.network.state_dict()), *(a.data for a in arrays)
        )

    def to_the_end(self) -> None:
        """Epochs, from the checkpoint on, until the last or until val has not improved for `patience` of them."""
        self._resume()
        while not self.state.done:
            self._epoch(len(self.state.history))
        self.network.load_state_dict(self.best)

    def _epoch(self, epoch: int) -> None:
        """Train on every note once, from where the checkpoint was, and look at val."""
        plan = updates(self.lengths, self.params.batch_size, np.random.default_rng([self.params.seed, epoch]))
        first = self.state.update - epoch * self.per_epoch
        started, read, filled = time.monotonic(), 0, 0
        self.network.train()
        shown = tqdm(
            plan[first:],
            f"{self.section} epoch {epoch + 1}/{self.params.epochs}",
            total=len(plan),
            initial=first,
            unit=" updates",
            disable=None if self.accelerator.is_main_process else True,
            leave=False,
        )
        for rows in shown:
            filled += self._update(rows)
            read += int(self.lengths[rows].sum())
            if time.monotonic() - self.saved > self.pause:
                self._save()
        seconds = time.monotonic() - started
        entry = {"loss": round(self.state.lost / len(self.lengths), 6), **self._validate()}
        self.state.lost = 0.0
        self.state.history.append(entry)
        if self.state.best < 0 or self._rank(entry) > self._rank(self.state.history[self.state.best]):
            self.state.best, self.best = epoch, _copy(self.network)
        waited = epoch - self.state.best
        self.state.done = epoch + 1 == self.params.epochs or waited >= self.params.patience
        self._save()
        self.curves(entry)
        self._say(epoch, entry, read, filled, seconds)

    def _update(self, rows: Array) -> int:
        """One step of the optimizer; the tokens that were computed for it, pads among them."""
        self._set_rate()
        lost, filled = self._gradients_with_room(rows)
        add_over_processes(self.accelerator, self.network, lost)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self._finite(float(lost) + float(norm))  # before the step: it would make weights of it
        self.optimizer.step()
        self.state.update += 1
        self.state.lost += float(lost)
        return filled

    def _gradients_with_room(self, rows: Array) -> tuple[Tensor, int]:
        while True:
            try:
                return self._gradients(rows)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            self._fewer_tokens()  # behind the handler: the error no longer holds the tensors of the failed piece

    def _gradients(self, rows: Array) -> tuple[Tensor, int]:
        """Add up the gradients of this process' pieces; the sum of the notes' losses, and the tokens computed."""
        self.optimizer.zero_grad()
        device, processes = self.accelerator.device, self.accelerator.num_processes
        parts = pieces(self.lengths, rows, self.state.tokens, fewest=processes)
        lost = torch.zeros((), device=device)
        for number, piece in list(enumerate(parts))[self.accelerator.process_index :: processes]:
            torch.manual_seed(_seed(self.params.seed, self.state.update, number))
            targets = torch.from_numpy(self.train_notes.labels[piece].toarray().astype(np.float32)).to(device)
            losses = self.loss(self.network, *tensors(self.train_notes.documents, piece, device), targets)
            torch.autograd.backward(losses.sum() / len(rows))
            lost += losses.detach().sum()
        return lost, computed(self.lengths, parts)

    def _fewer_tokens(self) -> None:
        """Once in a run half as many tokens at once. Alone in running out, a process would leave the others waiting."""
        if self.accelerator.num_processes > 1 or self.state.tokens < self.params.batch_tokens:
            raise DataError(
                f"params.yaml: {self.section}.batch_tokens: out of memory with {self.state.tokens} tokens at once; "
                "lower it"
            )
        self.state.tokens //= 2
        if self.accelerator.device.type == "cuda":
            torch.cuda.empty_cache()
        self.log.warning("out of memory: half as many tokens at once from here on", batch_tokens=self.state.tokens)

    def _set_rate(self) -> None:
        """Linear warmup, then linear decay to nothing at the last update."""
        warm = max(1, round(self.params.warmup_ratio * self.total))
        step = self.state.update + 1
        share = min(step / warm, max(0.0, (self.total - self.state.update) / max(1, self.total - warm)))
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * min(1.0, share)

    def _rank(self, entry: dict[str, float]) -> tuple[float, float]:
        """What epochs are compared by; of one label every MAP is the same, and F1 tells them apart."""
        return entry[self.params.select_on], entry["micro_f1"]

    def _finite(self, sizes: float) -> None:
        """Raise DataError unless loss and gradient are numbers."""
        if not math.isfinite(sizes):
            raise DataError(
                f"params.yaml: {self.section}.lr: the loss is no number at update {self.state.update} of {self.total}; "
                f"lower lr (now {self.params.lr:g}) or raise warmup_ratio"
            )

    def _validate(self) -> dict[str, float]:
        """How val is ranked and coded; every process scores its share."""
        documents, labels = self.val_notes
        rows = np.argsort(-documents.lengths, kind="stable")
        mine = rows[self.accelerator.process_index :: self.accelerator.num_processes]
        logits = logits_of(self.network, documents, mine, labels.shape[1], self.state.tokens)
        if self.accelerator.num_processes > 1:
            whole = torch.from_numpy(logits).to(self.accelerator.device)
            logits = self.accelerator.reduce(whole, "sum").cpu().numpy()
        return judged(expit(logits), labels.toarray() > 0)

    def _say(self, epoch: int, entry: dict[str, float], read: int, filled: int, seconds: float) -> None:
        if not self.accelerator.is_main_process:
            return
        memory = {}
        if self.accelerator.device.type == "cuda":
            memory = {"gpu_gb": round(torch.cuda.max_memory_allocated() / 1e9, 1)}
        self.log.info(
            "epoch",
            epoch=epoch + 1,
            **entry,
            best=self.state.best + 1,
            tokens_per_s=round(read / max(seconds, 1e-9)),
            pads=round(1 - read / max(1, filled), 3),
            **memory,
        )

    def _resume(self) -> None:
        """From the checkpoint of the same training, where there is one."""
        found = self.checkpoint.load() if self.place is not None else None
        if found is None:
            return
        tensors_of_run, state = found
        self.state = _State(**state)
        self.best = unpack(tensors_of_run, self.network, self.optimizer)
        for entry in self.state.history:
            self.curves(entry)
        if self.accelerator.is_main_process:
            self.log.info("goes on from its checkpoint", update=self.state.update, of=self.total)

    def _save(self) -> None:
        """All that `_resume` reads; only where the loss is a number."""
        started = time.monotonic()
        if self.place is not None and self.accelerator.is_main_process:
            self.checkpoint.save(pack(self.network, self.optimizer, self.best), vars(self.state))
        self.saved = time.monotonic()
        self.pause = max(SECONDS, SHARE * (self.saved - started))


def out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the machine, had no room."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "allocate memory" in str(error)


def _copy(network: Network) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
