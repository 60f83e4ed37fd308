"""What every coder on a neural network shares: how it is fitted, stored, read back, asked for scores and for evidence.

A folder holds coder.json (coder, params, codes), model.safetensors (weights by name), history.json (an entry an epoch),
and what the coder adds. Weights that do not fit their network in name or shape are refused.

Evidence of a code is attention x input gradient (AttInGrad: Edin et al. 2024, "An Unsupervised Approach to Achieve
Supervised-Level Explainability in Healthcare Records"), with two changes, since evidence is a statement of some words:
weight of token t = (A_l,t-1 / 2 + A_lt + A_l,t+1 / 2) * max(0, x_t . d logit_l / d x_t). A word next to one that is
looked at takes part, and what speaks against the code does not; theirs is A_lt * |x_t * d logit_l / d x_t|_2. Without
attention it is the second factor alone. `attention` alone is there for comparison.
Legend: N notes, B pairs of a piece, T tokens, E width of an embedding, L labels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import pyarrow as pa
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from scipy.special import expit
from torch import Tensor

from chartcode.artifacts import Artifact, Writer
from chartcode.coders.base import MOST_SPANS, Coder, FloatArray, LabelledNotes, Span
from chartcode.coders.batches import Array, Document, Documents, pieces
from chartcode.coders.scoring import Network, best_device, computing, logits_of, tensors
from chartcode.coders.training import Labelled, Place, TrainingParams, document_loss, train
from chartcode.errors import ArtifactError, ParamsError
from chartcode.logs import log
from chartcode.params import parse
from chartcode.tables.cleaning import to_source

TOGETHER = 2048  # notes whose token numbers are held while they are scored
NeuralParams = TypeVar("NeuralParams", bound=TrainingParams)


class NeuralCoder(Coder[NeuralParams]):
    """A network that reads notes, and what turns notes into its token numbers."""

    reads: ClassVar[tuple[str, ...]] = ("text", "sections")
    shows: ClassVar[Literal["attention", "attention_gradient"]] = "attention_gradient"

    def __init__(self, params: NeuralParams, codes: Sequence[str], network: Network) -> None:
        self.params, self.codes = params, list(codes)
        self.network = network.train(False)
        self.device = torch.device("cpu")
        self._cut: list[int] = []  # tokens left out of each note that was too long
        self._said = False

    @abstractmethod
    def documents(self, notes: pa.RecordBatch) -> list[Document]:
        """The notes as token numbers; a note without words has at least one token. `count_cut` is told of long ones."""

    def loss(self, network: Network, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """What training makes small, a number a note (B,)."""
        return document_loss(network, ids, mask, targets)

    def count_cut(self, left_out: int) -> None:
        """Of a note longer than the coder may read, so many tokens are not read."""
        if left_out:
            self._cut.append(left_out)

    def _say_cut(self, notes: int) -> None:
        """How many notes were cut, in one warning; of scoring the first time alone, since `explain` scores often."""
        if self._cut and not self._said:
            log(self.name).warning(
                "notes were longer than the coder reads", cut=len(self._cut), of=notes, tokens_left_out=sum(self._cut)
            )
        self._cut = []

    def begin(self, documents: Documents) -> None:
        """Set first weights by the train notes, where a coder has a way to."""

    def learn(self, train_notes: LabelledNotes, val_notes: LabelledNotes, code: str, writer: Writer) -> None:
        """Train the network and write coder.json, model.safetensors and history.json. `code`: digest of the coder's."""
        share = np.asarray(train_notes.labels.mean(axis=0), np.float32).ravel()
        self.network.head.set_prior(torch.from_numpy(share))
        given, held_out = (Labelled(self._read(notes), notes.labels) for notes in (train_notes, val_notes))
        self.begin(given.documents)
        history = train(self.network, given, held_out, self.params, Place(self.name, code), self.loss)
        described = {"coder": self.name, "codes": self.codes, "params": self.params.model_dump(mode="json")}
        writer.json("coder.json", described)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        # Not save_file, which lets nobody but the owner read what it writes.
        writer.path("model.safetensors").write_bytes(save(weights))
        writer.json("history.json", history)

    def _read(self, notes: LabelledNotes) -> Documents:
        found = Documents.of(note.ids for batch in notes.read(self.reads) for note in self.documents(batch))
        self._say_cut(len(found))
        return found

    def restore(self, artifact: Artifact) -> Self:
        """Take the weights of a verified folder. Raises ArtifactError when they are not this network's."""
        path = artifact.path("model.safetensors")
        try:
            weights = load_file(path)
        except (OSError, SafetensorError):
            raise ArtifactError(f"{path}: no weights; fit the coder anew") from None
        own = self.network.state_dict()
        if {n: t.shape for n, t in weights.items()} != {n: t.shape for n, t in own.items()}:
            raise ArtifactError(f"{path}: weights of another network than coder.json says; fit the coder anew")
        self.network.load_state_dict(weights)
        self.history = artifact.json("history.json")
        self.device = best_device()
        self.network.to(self.device).train(False)
        return self

    def scores(self, notes: Iterable[pa.RecordBatch]) -> FloatArray:
        """Sigmoid of the logits, float32 (N, L)."""
        found = [np.empty((0, len(self.codes)), np.float32)]
        for documents in self._groups(notes):
            rows = np.arange(len(documents))
            with computing(self.params.threads, self.params.precision, self.device):
                logits = logits_of(self.network, documents, rows, len(self.codes), self.params.batch_tokens)
            found.append(expit(logits))
        scores = np.concatenate(found)
        self._say_cut(len(scores))
        self._said = True
        return scores

    def _groups(self, notes: Iterable[pa.RecordBatch]) -> Iterator[Documents]:
        held: list[Array] = []
        for batch in notes:
            held += [note.ids for note in self.documents(batch)]
            if len(held) >= TOGETHER:
                yield Documents.of(held)
                held = []
        if held:
            yield Documents.of(held)

    def evidence(self, notes: Iterable[pa.RecordBatch], asked: Sequence[Sequence[str]]) -> list[list[list[Span]]]:
        """The tokens that speak most for each code, as spans of the source note."""
        columns = self.columns_of(asked)
        found: list[list[list[Span]]] = []
        for batch in notes:
            wanted = columns[len(found) : len(found) + batch.num_rows]
            documents = self.documents(batch)
            weights = iter(self.weights(documents, wanted))
            for document, edits, labels in zip(documents, batch.column("edits").to_pylist(), wanted, strict=True):
                segments = [(e["clean_start"], e["source_start"], e["length"]) for e in edits]
                found.append([_strongest(document.places, next(weights), segments) for _ in labels])
        return found

    def weights(self, documents: Sequence[Document], wanted: Sequence[Sequence[int]]) -> list[FloatArray]:
        """How much each token (T,) speaks for each wanted label of each note, note after note."""
        note = np.repeat(np.arange(len(documents)), [len(labels) for labels in wanted])  # (pairs,)
        label = np.array([number for labels in wanted for number in labels], np.int64)
        held = Documents.of(documents[row].ids for row in note.tolist())
        found: list[FloatArray] = [np.empty(0, np.float32)] * len(note)
        with (
            computing(self.params.threads, self.params.precision, self.device),
            torch.backends.cudnn.flags(enabled=False),  # its recurrent layers have no gradient in eval mode
        ):
            for piece in pieces(held.lengths, np.arange(len(note)), self.params.batch_tokens):
                for row, weights in zip(piece, self._weigh(held, piece, label[piece]), strict=True):
                    found[row] = weights[: held.lengths[row]]
        return found

    def _weigh(self, documents: Documents, rows: Array, labels: Array) -> FloatArray:
        """(B, T) of one piece, the b-th row for the b-th label."""
        ids, mask = tensors(documents, rows, self.device)
        pair, label = torch.arange(len(rows), device=self.device), torch.from_numpy(labels).to(self.device)
        embedded = self.network.embed(ids).detach().requires_grad_()
        states = self.network.encode(embedded, mask)
        attention = self.network.head.attention(states, mask)  # (B, L, T)
        if attention is not None and self.shows == "attention":
            return np.asarray(attention[pair, label].detach().float().cpu().numpy())
        logits = self.network.head(states, mask)[pair, label]
        (gradient,) = torch.autograd.grad(logits.sum(), embedded)
        weights = (gradient * embedded).float().sum(dim=-1).clamp(min=0) * mask  # (B, T)
        if attention is not None:
            looked = attention[pair, label].detach().float()
            beside = torch.nn.functional.pad(looked, (1, 1))
            weights = weights * (looked + (beside[:, :-2] + beside[:, 2:]) / 2)
        return np.asarray(weights.detach().cpu().numpy())


def described(artifact: Artifact, model: type[NeuralParams]) -> tuple[NeuralParams, list[str]]:
    """Params and codes of a folder. Raises ArtifactError when another version wrote it."""
    held: Mapping[str, Any] = artifact.json("coder.json")
    try:
        return parse(model, held["params"], artifact.path("coder.json")), [str(code) for code in held["codes"]]
    except (ParamsError, KeyError, TypeError) as error:
        raise ArtifactError(f"{artifact.path('coder.json')}: {error} (another version?); fit the coder anew") from None


def _strongest(places: Array, weights: FloatArray, segments: Sequence[tuple[int, int, int]]) -> list[Span]:
    """The MOST_SPANS tokens of largest weight, of those that stand somewhere in the note."""
    weights = np.where(places[:, 0] < places[:, 1], weights, 0)
    order = np.argsort(-weights, kind="stable")[:MOST_SPANS]
    best = order[weights[order] > 0]
    spans = to_source(places[best].tolist(), segments)
    return [Span(start, end, float(weights[row])) for (start, end), row in zip(spans, best, strict=True)]
