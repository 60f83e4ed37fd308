"""The cheapest strong reader of context: word vectors, a BiLSTM, one attention a label.

LAAT: Vu et al. 2020, "A Label Attention Model for ICD Coding from Clinical Text" (github.com/aehrc/LAAT). What a word
means is in its state, which has read the words around it: an illness denied, a relative's, ruled out or past has
another state than one affirmed, and attention learns to pass it by. That is what a bag of n-grams cannot do.

Word vectors begin as PPMI + SVD of the train notes (words.py) and are trained on.
A folder holds words.parquet besides what neural.py writes.
Legend: B notes of a piece, T tokens, E width of a vector, H width of a state, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn

from chartcode.artifacts import Artifact, Writer
from chartcode.coders.base import LabelledNotes
from chartcode.coders.batches import Document, Documents
from chartcode.coders.budget import within
from chartcode.coders.heads import make_head
from chartcode.coders.neural import NeuralCoder, described
from chartcode.coders.scoring import Network
from chartcode.coders.training import TrainingParams
from chartcode.coders.words import UNKNOWN, Vocabulary, vectors, words_of
from chartcode.lineage import code_digest
from chartcode.params import Positive

NOTHING = Document(np.array([UNKNOWN], np.int32), np.zeros((1, 2), np.int32))  # a note without words


class LaatParams(TrainingParams):
    """Knobs of LAAT, and of the training loop."""

    section: ClassVar[str] = "laat"
    max_words: Positive
    min_df: Positive
    embedding: Positive
    hidden: Annotated[int, Field(ge=2, multiple_of=2)]
    projection: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)]


class LaatNetwork(Network):
    """Word vectors, two LSTMs that meet, label attention.

    A word's state is what was read before it, what was read after it, and its own vector: the words that matter are
    found long before the LSTMs have learned what surrounds them.
    """

    def __init__(self, words: int, labels: int, params: LaatParams) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words, params.embedding)
        self.dropout = nn.Dropout(params.dropout)
        self.forwards = nn.LSTM(params.embedding, params.hidden // 2, batch_first=True)
        self.backwards = nn.LSTM(params.embedding, params.hidden // 2, batch_first=True)
        self.head = make_head("label_attention", params.hidden + params.embedding, labels, params.projection, 0)

    def embed(self, ids: Tensor) -> Tensor:
        """Word vectors (B, T, E)."""
        found: Tensor = self.vectors(ids)
        return found

    def encode(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """States (B, T, H).

        The backward LSTM reads each note turned round, so that it too begins at a word and ends at pads; a packed
        sequence says the same, but its gradient takes 15 times as long on a CPU.
        """
        embedded = self.dropout(embedded)
        place = torch.arange(mask.shape[1], device=mask.device)
        length = mask.sum(1, keepdim=True)
        turned = torch.where(place < length, length - 1 - place, place)[..., None]  # (B, T, 1)
        ahead, _ = self.forwards(embedded)
        behind, _ = self.backwards(embedded.gather(1, turned.expand_as(embedded)))
        context = self.dropout(torch.cat([ahead, behind.gather(1, turned.expand_as(behind))], -1))
        return torch.cat([context, embedded], -1)


class LaatCoder(NeuralCoder[LaatParams]):
    """LAAT."""

    name: ClassVar[str] = "laat"

    def __init__(self, params: LaatParams, codes: Sequence[str], words: Vocabulary) -> None:
        self.words = words
        torch.manual_seed(params.seed)
        super().__init__(params, codes, LaatNetwork(len(words), len(codes), params))

    @classmethod
    def fit(cls, params: LaatParams, train: LabelledNotes, val: LabelledNotes, writer: Writer) -> None:
        """Words and first vectors from the train notes, then the network."""
        words = Vocabulary.learn(train.texts(), params.min_df)
        writer.parquet("words.parquet", pa.table({"word": words.words}), dictionary=False)
        cls(params, train.codes, words).learn(train, val, code_digest(f"stages/{cls.name}.py"), writer)

    def begin(self, documents: Documents) -> None:
        """Word vectors from the words' company in what is read of the train notes."""
        found = vectors(documents, len(self.words), self.params.embedding, self.params.seed)
        self.network.load_state_dict({"vectors.weight": torch.from_numpy(found)}, strict=False)

    @classmethod
    def load(cls, artifact: Artifact) -> Self:
        """A fitted coder from its folder."""
        params, codes = described(artifact, LaatParams)
        return cls(params, codes, Vocabulary(artifact.table("words.parquet")["word"].to_pylist())).restore(artifact)

    def documents(self, notes: pa.RecordBatch) -> list[Document]:
        """The words of each note, at most `max_words`: those of the sections that speak of diagnoses first."""
        found = []
        for text, sections in zip(notes.column("text"), notes.column("sections"), strict=True):
            words, places = words_of(text.as_py())
            document = Document(self.words.numbers(words), places) if words else NOTHING
            if len(words) > self.params.max_words:
                kept = within(places[:, 0], sections.as_py(), self.params.max_words)
                document = Document(document.ids[kept], places[kept])
                self.count_cut(len(words) - len(kept))
            found.append(document)
        return found
