"""How much of a GPU the transformer's training uses, beside the padded 512-chunk loop of a plain Hugging Face Trainer.

Alone    python -m benchmarks.gpu                 BERT-base's shape, notes of up to 6,144 tokens, bf16; some minutes
         python -m benchmarks.gpu --equal         every note of 6,144 tokens
         python -m benchmarks.gpu --no-compile    without torch.compile
         python -m benchmarks.gpu --small         a shape that a CPU computes in seconds, to see that all runs

Both sides learn from the same notes in the same order, by AdamW at the same rate, the same notes an update, weights of
the same seed, label attention over all tokens, no dropout (so that losses can be compared). Notes are random pieces in
which some pieces speak for some labels; lengths are those of MIMIC-IV (median 3,150 pieces, cut at 6,144).
- ours: `coders.training.train` on `ChunkedEncoder`, chunks of 128 (the default) and of 512, packed without pads;
- theirs: `transformers.Trainer`, every note padded to 12 chunks of 512, pads masked, sdpa.
Tokens are real ones: pads do not count. FLOPs of the encoder for a real token in a chunk of c tokens, forward and
backward (twice the forward): 3 layers (2 (4 H^2 + 2 H F) + 4 H c), for H the width, F the feed-forward width, c
attended tokens. Embeddings, head, optimizer and pads are no part of it. Peak is the card's dense bf16.
Legend: B notes, C chunks, T tokens, H width, L labels.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from chartcode.coders.batches import Documents, updates
from chartcode.coders.heads import make_head
from chartcode.coders.scoring import Network
from chartcode.coders.training import Labelled, TrainingParams, document_loss, train
from chartcode.coders.transformer import ChunkedEncoder

PEAKS = {  # bf16, dense, TFLOP/s, as the makers give them; the first name that fits
    "H200": 989.4, "H100 PCIe": 756.0, "H100 NVL": 835.0, "H100": 989.4, "A100": 312.0, "L40S": 362.1, "L4": 121.0,
    "A10": 125.0, "RTX 4090": 165.2, "RTX 3090": 71.0,
}  # fmt: skip
LABELS, SEED, WARM = 50, 7, 3  # updates before the clock starts
CLS, SEP, FIRST = 1, 2, 3


@dataclass(frozen=True)
class Shape:
    """Of the encoder, the notes and the loop."""

    hidden: int
    layers: int
    heads: int
    forward: int
    vocabulary: int
    tokens: int  # of the longest note
    median: int
    notes: int
    together: int  # notes an update
    held: int  # tokens computed at once, ours
    parts: int  # notes computed at once, theirs
    chunks: tuple[int, ...]
    padded_chunk: int
    lr: float


BASE = Shape(768, 12, 12, 3072, 30_522, 6144, 3150, 1600, 16, 65_536, 8, (128, 512), 512, 5e-5)
SMALL = Shape(32, 2, 2, 64, 500, 192, 96, 192, 8, 1024, 4, (16, 64), 64, 2e-3)


class TrainedAs(TrainingParams):
    """The loop's own params."""

    section = "benchmark"


@dataclass
class Clock:
    """When updates began, and their losses."""

    times: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def tick(self) -> None:
        """An update begins, or the last has ended."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


@dataclass(frozen=True)
class Run:
    """What came of one side."""

    name: str
    chunk: int
    per_second: float  # real tokens
    share: float | None  # of the card's peak
    losses: list[float]
    memory: float  # GB


def note_bodies(shape: Shape, equal: bool) -> tuple[list[np.ndarray[Any, Any]], sp.csr_matrix]:
    """Pieces of each note, and labels int8 (N, L): piece FIRST + l speaks for label l."""
    rng = np.random.default_rng(SEED)
    lengths = np.minimum(shape.tokens, np.exp(rng.normal(np.log(shape.median), 0.45, shape.notes))).astype(int)
    lengths = np.full(shape.notes, shape.tokens) if equal else lengths
    labels = (rng.random((shape.notes, LABELS)) < 0.1).astype(np.int8)
    found = []
    for length, row in zip(lengths, labels, strict=True):
        pieces = rng.integers(FIRST + LABELS, shape.vocabulary, length)
        speaking = np.repeat(FIRST + np.flatnonzero(row), 4)[: length // 2]
        pieces[rng.choice(length, len(speaking), replace=False)] = speaking
        found.append(pieces)
    return found, sp.csr_matrix(labels)


def chunked(pieces: np.ndarray[Any, Any], chunk: int) -> np.ndarray[Any, Any]:
    """A note of at most as many pieces, every chunk between CLS and SEP, as long as the pieces alone."""
    tokens = pieces.copy()
    tokens[::chunk] = CLS
    tokens[chunk - 1 :: chunk] = SEP
    tokens[-1] = SEP
    return tokens


def network(shape: Shape, chunk: int) -> ChunkedEncoder:
    """Weights of one seed, whatever was drawn before."""
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.forward,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    encoder = BertModel(config)
    encoder.pooler = None
    return ChunkedEncoder(encoder, make_head("label_attention", shape.hidden, LABELS, shape.hidden, chunk), chunk)


def flops(shape: Shape, lengths: np.ndarray[Any, Any], chunk: int) -> float:
    """Of the encoder, forward and backward, for the real tokens of these notes."""
    tokens = float(lengths.sum())
    attended = sum(float((length // chunk) * chunk**2 + (length % chunk) ** 2) for length in lengths)
    matrices = 2 * (4 * shape.hidden**2 + 2 * shape.hidden * shape.forward) * tokens
    return 3 * shape.layers * (matrices + 4 * shape.hidden * attended)


def judged(name: str, chunk: int, clock: Clock, plan: list[np.ndarray[Any, Any]], shape: Shape, sizes: Any) -> Run:
    """Speed after WARM updates."""
    timed = np.concatenate(plan[WARM:])
    seconds = clock.times[len(plan)] - clock.times[WARM]
    peak, memory = None, 0.0
    if torch.cuda.is_available():
        card = torch.cuda.get_device_name()
        peak = next((value for part, value in PEAKS.items() if part in card), None)
        memory = torch.cuda.max_memory_allocated() / 1e9
    share = None if peak is None else flops(shape, sizes[timed], chunk) / seconds / (peak * 1e12)
    return Run(name, chunk, float(sizes[timed].sum() / seconds), share, clock.losses, memory)


def ours(shape: Shape, chunk: int, bodies: Any, labels: sp.csr_matrix, precision: str, compiled: bool) -> Run:
    """The house's loop, an epoch."""
    documents = Documents.of(chunked(pieces, chunk) for pieces in bodies)
    params = TrainedAs(
        seed=SEED, batch_size=shape.together, batch_tokens=shape.held, lr=shape.lr, warmup_ratio=0.0, weight_decay=0.01,
        epochs=1, patience=1, select_on="map", precision=precision, compile=compiled, threads=torch.get_num_threads(),
    )  # fmt: skip
    plan = updates(documents.lengths, shape.together, np.random.default_rng([SEED, 0]))
    clock, seen, lost = Clock(), 0, 0.0

    def loss(model: Network, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        nonlocal seen, lost
        if seen == 0:
            clock.tick()
        losses = document_loss(model, ids, mask, targets)
        seen, lost = seen + len(ids), lost + float(losses.detach().sum())
        if seen == len(plan[len(clock.losses)]):
            clock.losses.append(lost / seen)
            seen, lost = 0, 0.0
        return losses

    few = Labelled(Documents.of([documents.ids[:chunk]]), labels[:1])
    train(network(shape, chunk), Labelled(documents, labels), few, params, None, loss)
    clock.tick()
    return judged("ours", chunk, clock, plan, shape, documents.lengths)


class Padded(nn.Module):
    """What a plain script does: (B, C, chunk) padded, encoded with a mask, judged by the same head."""

    def __init__(self, model: ChunkedEncoder) -> None:
        super().__init__()
        self.encoder, self.head = model.encoder, model.head

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss and logits."""
        notes, chunks, chunk = input_ids.shape
        states = self.encoder(
            input_ids.reshape(-1, chunk), attention_mask=attention_mask.reshape(-1, chunk)
        ).last_hidden_state
        logits = self.head(states.reshape(notes, chunks * chunk, -1), attention_mask.reshape(notes, -1).bool())
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), labels)
        return {"loss": loss, "logits": logits}


class Watch(TrainerCallback):
    """Ticks the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """An update begins."""
        self.clock.tick()

    def on_log(self, _args: Any, _state: Any, _control: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
        """Its loss."""
        if logs and "loss" in logs:
            self.clock.losses.append(float(logs["loss"]))


class InOrder(Trainer):
    """Notes as they stand: the data set is already in the order of the updates."""

    def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)


def theirs(shape: Shape, bodies: Any, labels: sp.csr_matrix, precision: str) -> Run:
    """A plain Trainer on notes padded to the longest, an epoch."""
    chunk = shape.padded_chunk
    most = -(-shape.tokens // chunk)
    lengths = np.array([len(pieces) for pieces in bodies])
    plan = updates(lengths, shape.together, np.random.default_rng([SEED, 0]))
    plan = [rows for rows in plan if len(rows) == shape.together]
    rows = []
    for number in np.concatenate(plan).tolist():
        tokens = chunked(bodies[number], chunk)
        ids = np.zeros(most * chunk, np.int64)
        ids[: len(tokens)] = tokens
        mask = np.arange(most * chunk) < len(tokens)
        rows.append(
            {
                "input_ids": torch.from_numpy(ids.reshape(most, chunk)),
                "attention_mask": torch.from_numpy(mask.reshape(most, chunk).astype(np.int64)),
                "labels": torch.from_numpy(labels[number].toarray()[0].astype(np.float32)),
            }
        )
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="trainer-") as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=shape.parts, gradient_accumulation_steps=shape.together // shape.parts,
            learning_rate=shape.lr, num_train_epochs=1, warmup_steps=0, weight_decay=0.01, max_grad_norm=1.0,
            lr_scheduler_type="linear", bf16=precision == "bf16",
            logging_steps=1, save_strategy="no", report_to=[], disable_tqdm=True, seed=SEED,
            use_cpu=not torch.cuda.is_available(), remove_unused_columns=False,
        )  # fmt: skip
        watch = Watch(clock)
        trainer = InOrder(Padded(network(shape, chunk)), arguments, train_dataset=rows, callbacks=[watch])
        trainer.remove_callback(PrinterCallback)  # a line an update, into the table
        trainer.train()
    clock.tick()
    return judged("plain Trainer, padded", chunk, clock, plan, shape, lengths)


def fresh(work: Callable[[], Run]) -> Run:
    """On an empty card."""
    gc.collect()
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return work()


def kernel_is_true(shape: Shape) -> None:
    """Print how far packed bf16 logits and gradients are from padded float32 ones."""
    model = network(shape, 128).cuda().train(False)
    generator = torch.Generator().manual_seed(SEED)
    mask = (torch.arange(700) < torch.tensor([700, 128, 5, 300])[:, None]).cuda()
    ids = torch.randint(FIRST, shape.vocabulary, mask.shape, generator=generator).cuda()
    found = []
    for half in (False, True):
        model.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=half):
            logits = model(ids, mask)
        logits.sum().backward()
        found.append((logits.detach(), model.encoder.get_input_embeddings().weight.grad.clone()))
    for name, one, other in zip(("logits", "gradients"), *found, strict=True):
        print(f"packed bf16 beside padded float32, {name}: {((one - other).norm() / one.norm()).item():.4f} apart")


def main() -> None:
    """Print the card, a Markdown table, and the loss of both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a shape that a CPU computes")
    parser.add_argument("--equal", action="store_true", help="every note as long as the longest may be")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    chosen = parser.parse_args()
    on_card = torch.cuda.is_available()
    shape = SMALL if chosen.small or not on_card else BASE
    precision, compiled = ("bf16", not chosen.no_compile) if on_card else ("fp32", False)
    print(f"{torch.cuda.get_device_name() if on_card else 'CPU'}, torch {torch.__version__}, {precision}")
    print(f"{shape.notes} notes, {shape.together} an update, at most {shape.tokens} tokens\n")
    if on_card:
        kernel_is_true(shape)
    bodies, labels = note_bodies(shape, chosen.equal)
    runs = [fresh(lambda c=c: ours(shape, c, bodies, labels, precision, compiled)) for c in shape.chunks]  # type: ignore[misc]
    runs.append(fresh(lambda: theirs(shape, bodies, labels, precision)))
    base = runs[-1].per_second
    print("\n| | chunk | real tokens/s | x plain | of bf16 peak | loss, last quarter | memory, GB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for run in runs:
        share = "-" if run.share is None else f"{run.share:.1%}"
        last = mean(run.losses[-max(1, len(run.losses) // 4) :])
        print(
            f"| {run.name} | {run.chunk} | {run.per_second:,.0f} | {run.per_second / base:.2f} | {share} "
            f"| {last:.4f} | {run.memory:.1f} |"
        )
    same = [run for run in runs if run.chunk == shape.padded_chunk]
    one, other = (mean(run.losses[-max(1, len(run.losses) // 4) :]) for run in (same[0], same[-1]))
    print(f"\nsame chunks, loss of the last quarter: {abs(one - other) / other:.2%} apart")


if __name__ == "__main__":
    main()
