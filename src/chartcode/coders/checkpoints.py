"""Where a training that was killed goes on: one file outside DVC's outputs, which DVC deletes before a run.

`.checkpoints/<coder>/<key>.safetensors` under the root of the DVC repository (the main one, for queued experiments
too). The key is a digest of all that decides the weights: params, notes, labels, first weights, code, versions. What
has another key is never looked at. The file is replaced whole; only one process may work on a key.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from chartcode.artifacts import atomic_file
from chartcode.errors import DataError

FOLDER = ".checkpoints"


def digest(*parts: bytes | memoryview | str) -> str:
    """sha256 of the parts, each with its length, hexadecimal."""
    found = hashlib.sha256()
    for part in parts:
        held = part.encode() if isinstance(part, str) else memoryview(part).cast("B")
        found.update(len(held).to_bytes(8, "little"))
        found.update(held)
    return found.hexdigest()


def digest_of_weights(weights: Mapping[str, Tensor]) -> str:
    """sha256 of named tensors."""
    parts: list[bytes | memoryview | str] = []
    for name, tensor in sorted(weights.items()):
        parts += [name, str(tensor.dtype), tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data]
    return digest(*parts)


class Checkpoint:
    """The checkpoint of one training."""

    def __init__(self, coder: str, key: str) -> None:
        folder = _root() / FOLDER / coder
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{key[:16]}.safetensors"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out, also one that a killed DVC left behind. Raises DataError when one is at it."""
        with self.path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(
                    f"{self.path}: another process trains this very model; wait for it, or end it (fuser {lock.name})"
                ) from None
            yield

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and state as they were saved last, or None; a torn file counts as none."""
        try:
            with safe_open(self.path, framework="pt") as file:
                state = json.loads(file.metadata()["state"])
                return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118 - no mapping
        except (FileNotFoundError, SafetensorError, KeyError, ValueError):
            return None

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint. What is `done` in the state is done with, see `forget_finished`."""
        held = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        with atomic_file(self.path) as temporary:
            save_file(held, temporary, {"state": json.dumps(dict(state), sort_keys=True)})


def pack(network: nn.Module, optimizer: Optimizer, best: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a run by name: network.*, best.* (the best epoch's weights), adam.<parameter>.*."""
    held = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    held |= {f"best.{name}": tensor for name, tensor in best.items()}
    for number, slots in optimizer.state_dict()["state"].items():
        held |= {f"adam.{number}.{slot}": tensor for slot, tensor in slots.items()}
    return held


def unpack(held: Mapping[str, Tensor], network: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Put what `pack` held into network and optimizer; the best epoch's weights."""
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "best": {}, "adam": {}}
    for name, tensor in held.items():
        kind, rest = name.split(".", 1)
        parts[kind][rest] = tensor
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["adam"].items():
        number, slot = name.split(".")
        slots.setdefault(int(number), {})[slot] = tensor
    network.load_state_dict(parts["network"])
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    return parts["best"]


def forget_finished(coder: str) -> None:
    """Remove the checkpoints of trainings that came to their end: a stage's last act, when all is written."""
    for path in (_root() / FOLDER / coder).glob("*.safetensors"):
        try:
            with safe_open(path, framework="pt") as file:
                done = json.loads(file.metadata()["state"]).get("done")
        except (FileNotFoundError, SafetensorError, KeyError, ValueError):
            continue
        if done:
            path.unlink(missing_ok=True)
            path.with_suffix(".lock").unlink(missing_ok=True)


def _root() -> Path:
    return Path(os.environ.get("DVC_ROOT", "."))
