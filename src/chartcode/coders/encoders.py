"""Encoders that were trained elsewhere, taken in once and locked by their bytes; and a tiny one made here.

`transformer.encoder` names one of three: `tiny` (WordPiece learned from train notes, a small BERT of random weights); a
model of the hub, with `transformer.revision` the commit that pins it; or, without a revision, a folder of this checkout
that holds a snapshot. Only safetensors weights and architectures that transformers itself knows are taken: a snapshot
that has pickled weights alone, or brings code, is refused. The hub is asked here and nowhere else.

An encoder's folder holds config.json, model.safetensors (float32, no pooler), tokenizer.json and encoder.json.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, model_validator

from chartcode.artifacts import Artifact, Writer
from chartcode.errors import ChartcodeError, DataError
from chartcode.logs import log
from chartcode.params import Positive, Section

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

TINY = "tiny"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WANTED = ("config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*.json", "vocab.*", "merges.txt")
NEVER_USED = {"_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version"}
HEAD_WIDTH = 32  # of an attention head of `tiny`
KEY = "params.yaml: transformer.encoder"


class EncoderParams(Section):
    """Which encoder, and the size of `tiny`; the section's other keys are TransformerParams'."""

    model_config = ConfigDict(extra="ignore")
    section: ClassVar[str] = "transformer"
    encoder: str
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None
    tiny_pieces: Annotated[int, Field(ge=100)]
    tiny_layers: Positive
    tiny_hidden: Annotated[int, Field(ge=HEAD_WIDTH, multiple_of=HEAD_WIDTH)]

    @model_validator(mode="after")
    def _within_the_checkout(self) -> EncoderParams:
        path = PurePath(self.encoder)
        if self.revision is None and (path.is_absolute() or ".." in path.parts):
            raise ValueError("a folder must lie, or be linked, in this checkout, as data/external/NAME")
        return self


def write_encoder(params: EncoderParams, texts: Callable[[], Iterable[str]], writer: Writer) -> None:
    """Take the chosen encoder in. `texts` are the train notes, read for `tiny` alone.

    Raises DataError, in one line, for a snapshot that is not there, not whole or not safe to take.
    """
    if params.encoder == TINY and params.revision is None:
        config, tokenizer = _tiny(params, texts)
        model = _seeded(config)
    else:
        hub = params.revision is not None
        folder = _fetched(params.encoder, str(params.revision)) if hub else Path(params.encoder)
        model, tokenizer = _taken(folder)
        config = model.config.to_diff_dict()
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    from safetensors.torch import save

    # Not save_file, which lets nobody but the owner read what it writes.
    writer.path("model.safetensors").write_bytes(save(tensors))
    tokenizer.save(str(writer.path("tokenizer.json")))
    writer.json("config.json", {key: value for key, value in config.items() if key not in NEVER_USED})
    writer.json("encoder.json", {"encoder": params.encoder, "revision": params.revision})
    log("encoder").info(
        "encoder",
        name=params.encoder,
        type=model.config.model_type,
        pieces=tokenizer.get_vocab_size(),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
    )


def restore(config: dict[str, Any]) -> PreTrainedModel:
    """The bare architecture of a config, weights random."""
    transformers = _transformers()
    model: PreTrainedModel = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**config))
    return _without_pooler(model)


def pretrained(artifact: Artifact) -> PreTrainedModel:
    """The encoder of a verified folder, with its weights."""
    from safetensors.torch import load_file

    model = restore(artifact.json("config.json"))
    model.load_state_dict(load_file(artifact.path("model.safetensors")))
    return model


def most_tokens(model: PreTrainedModel) -> int:
    """How many tokens the encoder can read at once; its positions decide, and RoBERTa's begin behind the pad's."""
    positions = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    if positions is None or not hasattr(positions, "num_embeddings"):
        return int(getattr(model.config, "max_position_embeddings", 1 << 30))
    return int(positions.num_embeddings - (0 if positions.padding_idx is None else positions.padding_idx + 1))


def _transformers() -> Any:
    """transformers, silent and kept from the hub."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import huggingface_hub.constants
    import transformers

    huggingface_hub.constants.HF_HUB_OFFLINE = True
    loud: Any = transformers.logging
    loud.set_verbosity_error()
    loud.disable_progress_bar()
    return transformers


def _without_pooler(model: PreTrainedModel) -> PreTrainedModel:
    """BERT's pooler reads the first token of a chunk alone; no head of ours asks for it."""
    if getattr(model, "pooler", None) is not None:
        setattr(model, "pooler", None)  # noqa: B010 - no attribute that mypy knows
    return model


def _fetched(name: str, revision: str) -> Path:
    """A snapshot of the hub, or the one that this machine fetched before: its commit pins it. Raises DataError."""
    os.environ["HF_HUB_OFFLINE"] = "0"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    which: dict[str, Any] = {"revision": revision, "allow_patterns": list(WANTED), "ignore_patterns": ["*/*"]}
    with contextlib.suppress(LocalEntryNotFoundError, HFValidationError):
        held = Path(snapshot_download(name, local_files_only=True, **which))
        if _is_whole(held):
            return held
    try:
        listed = HfApi().model_info(name, revision=revision, timeout=30).siblings or []
        _refuse((file.rfilename for file in listed), f"{KEY}: {name}")
        return Path(snapshot_download(name, **which))
    except HFValidationError:
        raise DataError(f"{KEY}: {name}: not a name of the hub; models there are called OWNER/NAME") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise DataError(f"{KEY}: {name}: the hub does not give this model and revision (status {status})") from None
    except ChartcodeError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever its client calls a network that fails
        raise DataError(
            f"{KEY}: {name}: the hub cannot be reached ({type(error).__name__}); `make pull` brings a colleague's "
            "encoder, and a folder needs no hub"
        ) from None


def _is_whole(folder: Path) -> bool:
    """Whether all that is wanted of a snapshot is there; an earlier fetch may have been cut off."""
    index = folder / "model.safetensors.index.json"
    shards = set(json.loads(index.read_text())["weight_map"].values()) if index.is_file() else {"model.safetensors"}
    return all((folder / name).is_file() for name in {"config.json", *shards}) and _has_words(folder)


def _has_words(folder: Path) -> bool:
    """Whether a tokenizer is there; without one, transformers makes one up that knows no word."""
    return any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt", "vocab.json"))


def _refuse(names: Iterable[str], where: str) -> None:
    """Raise DataError for a snapshot, by the names of its files, that brings code or no safetensors."""
    names = sorted(names)
    code = [name for name in names if name.endswith((".py", ".so", ".pyc"))]
    if code:
        raise DataError(f"{where}: brings code ({code[0]}), which is not run here; choose another encoder")
    if not any("/" not in name and name.endswith(".safetensors") for name in names):
        raise DataError(
            f"{where}: no safetensors weights, and pickled ones are not read; name a revision that has them"
        )


def _taken(folder: Path) -> tuple[PreTrainedModel, Tokenizer]:
    """Weights and tokenizer of a snapshot. Raises DataError."""
    if not (folder / "config.json").is_file():
        raise DataError(f"{KEY}: {folder}: no snapshot (config.json is missing); a model of the hub needs a revision")
    _refuse((path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()), f"{KEY}: {folder}")
    if not _has_words(folder):
        raise DataError(
            f"{KEY}: {folder}: no tokenizer (tokenizer.json, vocab.txt or vocab.json); not a whole snapshot"
        )
    try:
        if "auto_map" in json.loads((folder / "config.json").read_text(encoding="utf-8")):
            raise DataError(f"{KEY}: {folder}/config.json: auto_map asks for code; choose another encoder")
    except ValueError:
        raise DataError(f"{KEY}: {folder}/config.json: not JSON") from None
    from safetensors import SafetensorError

    transformers = _transformers()
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, report = transformers.AutoModel.from_pretrained(
            folder, use_safetensors=True, dtype="float32", output_loading_info=True, **options
        )
        tokenizer = _tokenizer(folder, options)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, SafetensorError) as error:
        raise DataError(f"{KEY}: {folder}: not a whole snapshot of a known kind ({type(error).__name__})") from None
    absent = [name for name in report["missing_keys"] if not name.startswith("pooler.")]
    if absent:
        raise DataError(
            f"{KEY}: {folder}: {len(absent)} weights are missing ({sorted(absent)[0]}); not a whole encoder"
        )
    if max(tokenizer.get_vocab().values()) >= model.get_input_embeddings().num_embeddings:
        raise DataError(f"{KEY}: {folder}: its tokenizer has pieces for which its weights have no vector")
    return _without_pooler(model), tokenizer


def _tokenizer(folder: Path, options: Mapping[str, Any]) -> Tokenizer:
    """tokenizer.json as it stands; without one, what transformers makes of the vocabulary.

    transformers reads the vocabulary alone out of tokenizer.json for kinds that it knows, and builds the rest by that
    kind's defaults: a cased encoder without tokenizer_config.json would read lower case.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        made: Tokenizer = _transformers().AutoTokenizer.from_pretrained(folder, **options).backend_tokenizer
        return made
    try:
        return Tokenizer.from_file(str(path))
    except Exception:  # noqa: BLE001 - tokenizers raises plain Exceptions
        raise ValueError("not a tokenizer") from None


def _tiny(params: EncoderParams, texts: Callable[[], Iterable[str]]) -> tuple[dict[str, Any], Tokenizer]:
    """A tokenizer learned from the notes, and the config of a BERT to go with it."""
    tokenizer = _wordpiece(texts, params.tiny_pieces)
    config = {
        "model_type": "bert",
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": params.tiny_hidden,
        "num_hidden_layers": params.tiny_layers,
        "num_attention_heads": params.tiny_hidden // HEAD_WIDTH,
        "intermediate_size": 2 * params.tiny_hidden,
        "max_position_embeddings": 512,
        "type_vocab_size": 1,
        "pad_token_id": SPECIAL.index("[PAD]"),
    }
    return config, tokenizer


def _seeded(config: dict[str, Any]) -> PreTrainedModel:
    """The same random weights every time, and the caller's random numbers untouched."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return restore(config)


def _wordpiece(texts: Callable[[], Iterable[str]], pieces: int) -> Tokenizer:
    """Lower-cased WordPiece, learned from the texts, which are read twice; equal texts give equal pieces.

    The trainer numbers a letter inside a word when it first meets one, in the order of a hash map, and settles ties by
    these numbers: it would learn something else every time. Named beforehand, they have the numbers we give them.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    masks = normalizers.Replace(Regex("_+"), "_")  # a de-identification mask is one piece
    normalizer = normalizers.Sequence([masks, normalizers.BertNormalizer(lowercase=True)])
    letters = sorted({letter for text in _pure(texts(), normalizer) for letter in text})

    def empty(vocabulary: dict[str, int]) -> Tokenizer:
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=SPECIAL[1]))
        tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return tokenizer

    learner = empty({})
    named = [*SPECIAL, *(f"##{letter}" for letter in letters)]
    learner.train_from_iterator(
        texts(), trainers.WordPieceTrainer(vocab_size=pieces, special_tokens=named, show_progress=False)
    )
    tokenizer = empty(learner.get_vocab())
    tokenizer.add_special_tokens(list(SPECIAL))
    begin, end = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", begin), ("[SEP]", end)]
    )
    return tokenizer


def _pure(texts: Iterable[str], normalizer: Any) -> Iterator[str]:
    """The letters of each text as the tokenizer will see them; each letter is looked at once."""
    seen: set[str] = set()
    for text in texts:
        new = set(text) - seen
        seen |= new
        yield "".join(normalizer.normalize_str(letter) for letter in sorted(new)).replace(" ", "")
