"""A pretrained encoder that reads the whole note in chunks, and a head that judges all of it together.

PLM-ICD (Huang et al. 2022, github.com/MiuLab/PLM-ICD): the note is cut into chunks without overlap, each is encoded by
itself, and label attention runs over the states of all chunks; the loss is the note's. `pooling` swaps the head
(heads.py). An encoder of long context (ModernBERT, Longformer) takes the note as one chunk: `chunk_tokens` empty.
Few pads are computed: all chunks but the last are full; a GPU in bf16 packs them without any (packed.py).

A folder holds config.json and tokenizer.json of the encoder besides what neural.py writes.
Legend: B notes of a piece, C chunks, T tokens, E width of an embedding, H width of a state, L labels, P projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import pyarrow as pa
import torch
from pydantic import ConfigDict, Field, model_validator
from torch import Tensor, nn

from chartcode.artifacts import Artifact, Writer
from chartcode.coders.base import LabelledNotes
from chartcode.coders.batches import Document, Documents
from chartcode.coders.chunks import PieceReader
from chartcode.coders.encoders import TINY, EncoderParams, most_tokens, pretrained, restore
from chartcode.coders.heads import Head, LabelAttention, make_head
from chartcode.coders.neural import NeuralCoder, described
from chartcode.coders.packed import NAME, Packing
from chartcode.coders.scoring import Network
from chartcode.coders.training import TrainingParams, document_loss
from chartcode.coders.words import vectors
from chartcode.errors import DataError
from chartcode.icd import dotted
from chartcode.lineage import code_digest
from chartcode.params import Positive

PACKABLE = {"bert", "modernbert", "roberta"}  # architectures held to their padded selves by a test
ENCODER = Path("models/encoder")
SPREAD = 0.2  # of the first vectors of tiny's pieces; behind a LayerNorm the smaller ones turn the faster


class TransformerParams(TrainingParams, EncoderParams):
    """Knobs of the transformer, its encoder, and the training loop."""

    model_config = ConfigDict(extra="forbid")
    section: ClassVar[str] = "transformer"
    pooling: Literal["label_attention", "cross_attention", "max", "mean"]
    projection: Positive
    chunk_tokens: Positive | None
    max_tokens: Annotated[int, Field(ge=8)]
    head_lr: Annotated[float, Field(gt=0)]
    label_init: bool
    r_drop: Annotated[float, Field(ge=0)]
    activation_checkpointing: bool

    @model_validator(mode="after")
    def _titles_need_queries(self) -> Self:
        if self.label_init and self.pooling != "label_attention":
            raise ValueError("label_init starts the queries of label_attention; this pooling has none")
        return self


class ChunkedEncoder(Network):
    """An encoder of transformers under a head; chunks begin at every multiple of `chunk` tokens (None: one chunk)."""

    def __init__(self, encoder: Any, head: Head, chunk: int | None, head_lr: float | None = None) -> None:
        super().__init__()
        self.encoder, self.head, self.chunk, self.head_lr = encoder, head, chunk, head_lr
        self.kind = str(encoder.config.model_type)
        self.padded_attention = encoder.config._attn_implementation
        positions = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
        behind = getattr(positions, "padding_idx", None)
        self.first_position = 0 if behind is None else behind + 1  # RoBERTa's positions begin behind the pad's

    def embed(self, ids: Tensor) -> Tensor:
        """Word embeddings (B, T, E), without positions."""
        found: Tensor = self.encoder.get_input_embeddings()(ids)
        return found

    def encode(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """States (B, T, H), each of its own chunk alone."""
        if self.packs(embedded):
            return self._packed(embedded, mask)
        self.encoder.config._attn_implementation = self.padded_attention
        notes, longest = mask.shape
        chunk = min(self.chunk or longest, longest)
        missing = -longest % chunk
        rows = nn.functional.pad(embedded, (0, 0, 0, missing)).reshape(-1, chunk, embedded.shape[-1])  # (B C, chunk, E)
        kept = nn.functional.pad(mask, (0, missing)).reshape(-1, chunk)  # (B C, chunk)
        used = kept.any(1)  # chunks behind the end of a shorter note are not computed
        states = self._states(rows[used], kept[used])
        whole = states.new_zeros(len(used), chunk, states.shape[-1])
        whole[used] = states
        return whole.reshape(notes, chunk * (len(used) // notes), -1)[:, :longest]

    def _states(self, rows: Tensor, kept: Tensor) -> Tensor:
        more = {}
        if self.kind == "longformer":
            first = torch.zeros_like(kept, dtype=torch.long)
            first[:, 0] = 1
            more["global_attention_mask"] = first
        found: Tensor = self.encoder(inputs_embeds=rows, attention_mask=kept.long(), **more).last_hidden_state
        return found

    def packs(self, embedded: Tensor) -> bool:
        """Whether chunks are computed without any pad: half precision on a GPU, an architecture that is known to."""
        return self.kind in PACKABLE and embedded.is_cuda and torch.is_autocast_enabled("cuda")

    def _packed(self, embedded: Tensor, mask: Tensor) -> Tensor:
        self.encoder.config._attn_implementation = NAME
        packing = Packing.of(mask, self.chunk or mask.shape[1])
        states = self.encoder(
            inputs_embeds=embedded[mask][None], position_ids=packing.positions + self.first_position, packing=packing
        ).last_hidden_state
        whole: Tensor = states.new_zeros(*mask.shape, states.shape[-1])
        whole[mask] = states[0]
        return whole

    def groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Parameter groups for AdamW, the head's at its own rate: it is fresh where the encoder knows a language."""
        fresh = {id(parameter) for parameter in self.head.parameters()}
        found = []
        for group in super().groups(lr, weight_decay):
            for rate, of_head in ((lr, False), (self.head_lr or lr, True)):
                members = [parameter for parameter in group["params"] if (id(parameter) in fresh) is of_head]
                found.append(group | {"params": members, "lr": rate})
        return found

    def compile(self, *options: Any, **more: Any) -> None:
        """torch.compile of the encoder, where the time goes; what packs around it has other shapes each time."""
        self.encoder.compile(*options, **more)

    def checkpointing(self, on: bool) -> None:
        """Compute the encoder's activations again in the backward pass rather than keep them."""
        if on:
            self.encoder.activation_checkpointing_enable({"use_reentrant": False})
        else:
            self.encoder.activation_checkpointing_disable()


class TransformerCoder(NeuralCoder[TransformerParams]):
    """A chunked encoder."""

    name: ClassVar[str] = "transformer"
    network: ChunkedEncoder

    def __init__(self, params: TransformerParams, codes: list[str], encoder: Any, tokenizer: Path) -> None:
        self.reader = PieceReader(tokenizer, params.chunk_tokens, params.max_tokens)
        chunk, most = self.reader.chunking.chunk, most_tokens(encoder)
        if (chunk or params.max_tokens) > most:
            raise DataError(
                f"params.yaml: transformer.chunk_tokens: this encoder reads at most {most} tokens at once; "
                "chunk_tokens, or without chunks max_tokens, must not be larger"
            )
        torch.manual_seed(params.seed)
        hidden = int(encoder.config.hidden_size)
        head = make_head(params.pooling, hidden, len(codes), params.projection, chunk or params.max_tokens)
        super().__init__(params, codes, ChunkedEncoder(encoder, head, chunk, params.head_lr))

    @classmethod
    def fit(
        cls,
        params: TransformerParams,
        train: LabelledNotes,
        val: LabelledNotes,
        writer: Writer,
        encoder: Path = ENCODER,
    ) -> None:
        """Fine-tune the encoder in folder `encoder` together with a fresh head."""
        artifact = Artifact(encoder)
        tokenizer = writer.path("tokenizer.json")
        tokenizer.write_bytes(artifact.path("tokenizer.json").read_bytes())
        writer.json("config.json", artifact.json("config.json"))
        coder = cls(params, list(train.codes), pretrained(artifact), tokenizer)
        coder.network.checkpointing(params.activation_checkpointing)
        coder.learn(train, val, code_digest(f"stages/{cls.name}.py"), writer)

    def begin(self, documents: Documents) -> None:
        """Vectors of `tiny`'s pieces from their company in the train notes, as LAAT's words; labels by their titles."""
        if self.params.encoder == TINY:
            table = self.network.encoder.get_input_embeddings().weight
            pieces, width = table.shape
            with torch.no_grad():
                table.copy_(torch.from_numpy(SPREAD * vectors(documents, pieces, width, self.params.seed)))
        if self.params.label_init:
            self.start_from(titles(self.codes))

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """A fitted coder from its folder."""
        params, codes = described(artifact, TransformerParams)
        encoder = restore(artifact.json("config.json"))
        return cls(params, codes, encoder, artifact.path("tokenizer.json")).restore(artifact)

    def documents(self, notes: pa.RecordBatch) -> list[Document]:
        """The pieces of each note, at most `max_tokens` with those of its chunks."""
        found = []
        for document, left_out in self.reader.read(
            notes.column("text").to_pylist(), notes.column("sections").to_pylist()
        ):
            self.count_cut(left_out)
            found.append(document)
        return found

    def loss(self, network: Network, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each note (B,), and R-Drop's term where it is asked for."""
        if not self.params.r_drop:
            return document_loss(network, ids, mask, targets)
        return r_drop_loss(network, ids, mask, targets, self.params.r_drop)

    def start_from(self, names: dict[int, str]) -> None:
        """Point the attention of labels to tokens like those of their titles: U_l = tanh(W mean state), rescaled."""
        head, network = self.network.head, self.network.train(False)
        assert isinstance(head, LabelAttention)
        documents = self.reader.read(list(names.values()), [[]] * len(names))
        with torch.no_grad():
            usual = head.queries.weight.norm(dim=1).mean()
            for label, (document, _) in zip(names, documents, strict=True):
                ids = torch.from_numpy(document.ids).long()[None]
                states = network.encode(network.embed(ids), torch.ones_like(ids, dtype=torch.bool))
                query = torch.tanh(head.projection(states.mean(1)))[0]  # (P,)
                head.queries.weight[label] = query * usual / query.norm().clamp(min=1e-6)


def titles(codes: Sequence[str]) -> dict[int, str]:
    """ICD-10-CM titles by label; codes without one (procedures, ICD-9) are left out."""
    import simple_icd_10_cm as icd  # 2 s to load

    found = {label: dotted(code) for label, code in enumerate(codes)}
    return {label: str(icd.get_description(code)) for label, code in found.items() if icd.is_valid_item(code)}


def r_drop_loss(network: Network, ids: Tensor, mask: Tensor, targets: Tensor, weight: float) -> Tensor:
    """Two readings of each note under two dropouts, and what they disagree on (R-Drop: Liang et al. 2021); (B,).

    KL(p|q) + KL(q|p) of Bernoulli p, q with logits a, b is (p - q)(a - b).
    """
    one, other = network(ids.repeat(2, 1), mask.repeat(2, 1)).chunk(2)  # (B, L) each
    entropies = [
        nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none") for logits in (one, other)
    ]
    apart = (one.sigmoid() - other.sigmoid()) * (one - other) / 2
    whole: Tensor = (entropies[0] + entropies[1]) / 2 + weight * apart
    return whole.mean(1)
