"""A training of seconds, for tests: a network of a few hundred weights and notes of random words, in any process."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from chartcode.coders import training
from chartcode.coders.batches import Documents
from chartcode.coders.heads import LabelAttention
from chartcode.coders.scoring import Network
from chartcode.coders.training import Labelled, Place, TrainingParams, document_loss, train

WORDS, LABELS = 40, 6
CODE = "0" * 64


class TinyParams(TrainingParams):
    section: ClassVar[str] = "tiny"


PARAMS: dict[str, Any] = {
    "seed": 1, "batch_size": 8, "batch_tokens": 120, "lr": 0.02, "warmup_ratio": 0.1, "weight_decay": 0.01, "epochs": 5,
    "patience": 5, "select_on": "map", "precision": "fp32", "compile": False, "threads": 1,
}  # fmt: skip


def params(**change: Any) -> TinyParams:
    return TinyParams.model_validate(PARAMS | change)


class TinyNetwork(Network):
    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.vectors = nn.Embedding(WORDS, 8)
        self.dropout = nn.Dropout(dropout)
        self.head = LabelAttention(8, LABELS, 8)

    def embed(self, ids: Tensor) -> Tensor:
        return self.vectors(ids)

    def encode(self, embedded: Tensor, mask: Tensor) -> Tensor:
        return self.dropout(embedded)


def chunked_encoder(dropout: float) -> Network:
    """The transformer's network, as small."""
    from transformers import BertConfig, BertModel

    from chartcode.coders.transformer import ChunkedEncoder

    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    share = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    encoder = BertModel(BertConfig(vocab_size=WORDS, max_position_embeddings=8, **size, **share))
    encoder.pooler = None
    return ChunkedEncoder(encoder, LabelAttention(8, LABELS, 8), 8)


NETWORKS: dict[str, Callable[[float], Network]] = {"tiny": TinyNetwork, "transformer": chunked_encoder}


def notes(count: int, seed: int) -> Labelled:
    """A label is coded where its word (its number + 1) stands in the note."""
    rng = np.random.default_rng(seed)
    ids = [rng.integers(LABELS + 1, WORDS, int(rng.integers(3, 30))) for _ in range(count)]
    labels = (rng.random((count, LABELS)) < 0.3).astype(np.int8)
    ids = [np.concatenate([note, np.flatnonzero(row) + 1]) for note, row in zip(ids, labels, strict=True)]
    return Labelled(Documents.of(ids), sp.csr_matrix(labels))


def run(folder: Path, out: str, kind: str, pause: float, dropout: float, variables: Mapping[str, str]) -> None:
    """Train in a folder and write the weights there: the work of a process, with these environment variables."""
    os.chdir(folder)
    os.environ |= {"DVC_ROOT": str(folder), **variables}
    training.SECONDS = 0.0  # a checkpoint an update

    def slow(network: Network, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        time.sleep(pause)
        return document_loss(network, ids, mask, targets)

    network = NETWORKS[kind](dropout)
    train(network, notes(64, 1), notes(32, 2), params(), Place("tiny", CODE), slow)
    save_file(network.state_dict(), out)


def start(folder: Path, out: str, kind: str, pause: float = 0.0, dropout: float = 0.0, **variables: str) -> BaseProcess:
    """`run` in a process of its own, to be killed or as one of several, forked from one that has loaded libraries.

    Not ours: each process takes them from the path that pytest has set.
    """
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["accelerate", "scipy.sparse", "torch", "transformers.models.bert.modeling_bert"])
    process = forks.Process(target=run, args=(folder, out, kind, pause, dropout, variables))
    process.start()
    return process
