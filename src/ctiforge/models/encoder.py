"""The trained encoder at run time: ONNX with 8-bit weights and a tokenizer, without torch.

A folder that `ctiforge train encoder` wrote. Read are ``manifest.json``, ``model.int8.onnx``, ``tokenizer.json`` and
``head.npz`` (loaded with ``allow_pickle=False``); a file whose SHA-256 differs from the manifest's is refused. The head
is linear over the mean of the token states, so that what a token adds to a label's score is exact.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import MissingExtraError
from ctiforge.models.artefact import not_a_manifest, read_manifest, read_verified
from ctiforge.models.cwe_model import Contribution, Contributions
from ctiforge.models.linear import Calibration
from ctiforge.models.onnx_runtime import open_session

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

__all__ = ["ENCODER_FORMAT", "TOKEN_EMBEDDINGS", "EncodedTexts", "EncoderModel", "ScoredByEncoder", "load_encoder"]

ENCODER_FORMAT = "ctiforge-encoder/1"
TOKEN_EMBEDDINGS = "token_embeddings"
"""The output, of an encoder that shares its embeddings with a second one, that enters the first layer of both."""
EXTRA = "accurate"

_INT8, _HEAD, _TOKENIZER = "model.int8.onnx", "head.npz", "tokenizer.json"
_NO_STATES = np.zeros((0, 0), dtype=np.float32)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a text: their character ranges, and which tokens belong to which of them; special tokens to none.

    Attributes:
        tokens, words: places of the tokens that belong to a word, and of that word in `ranges`.
    """

    ranges: list[tuple[int, int]]
    tokens: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]

    @classmethod
    def of(cls, encoding: Encoding) -> _Words:
        ranges: list[tuple[int, int]] = []
        tokens, words, before = [], [], None
        for token, (word, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
            if word is None or start == end:
                continue
            if word == before:
                ranges[-1] = (ranges[-1][0], end)
            else:
                ranges.append((start, end))
                before = word
            tokens.append(token)
            words.append(len(ranges) - 1)
        return cls(ranges, np.array(tokens, dtype=np.int64), np.array(words, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class EncodedTexts:
    """What the encoder made of B texts.

    Attributes:
        logits: float32, shape (B, K).
        embeddings: float32, shape (B, H): the mean of a text's token states.
        states: B arrays, float32, shape (T, H); empty unless asked for.
        encodings: B tokenizations with the character range of each token.
        token_embeddings: B arrays, float32, shape (T, H): what enters the first layer; empty unless asked for.
    """

    logits: Floats
    embeddings: Floats
    states: list[Floats]
    encodings: list[Encoding]
    token_embeddings: list[Floats] = field(default_factory=list)
    _words: dict[int, _Words] = field(default_factory=dict)

    def words(self, text: int) -> _Words:
        """Return the words of a text; the labels of a text share them."""
        if text not in self._words:
            self._words[text] = _Words.of(self.encodings[text])
        return self._words[text]


class EncoderModel:
    """A loaded encoder.

    Attributes:
        name, labels, manifest, digest: see `ctiforge.models.cwe_model.CweModel`.
    """

    def __init__(
        self, manifest: dict[str, Any], digest: str, onnx: bytes, tokenizer: Tokenizer, head: bytes, *, threads: int = 1
    ) -> None:
        self.manifest = manifest
        self.digest = digest
        self.name: str = manifest["name"]
        self.labels: tuple[str, ...] = tuple(manifest["labels"])
        self._inputs = [str(name) for name in manifest["inputs"]]
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(int(manifest["max_length"]))
        self._head = head
        self._calibrations = {policy: Calibration(**values) for policy, values in manifest["calibration"].items()}
        self._shifts = {policy: np.array(shift, np.float32) for policy, shift in manifest.get("shift", {}).items()}
        self._session = open_session(onnx, threads=threads, extra=EXTRA)

    def encode(self, texts: list[str], *, states: bool = False, token_embeddings: bool = False) -> EncodedTexts:
        """Run the encoder over texts, one at a time.

        Activations get one 8-bit scale for all that is computed together, so a text in a batch would be answered a little
        differently with other texts beside it; and on a CPU a batch is no faster (docs/lab-log.md).

        Args:
            states: keep the states of every token, which `contributions` needs.
            token_embeddings: keep what enters the first layer, which a second encoder reads; only an encoder that shares it
                has that output.
        """
        encodings = self._tokenizer.encode_batch(texts)
        wanted = ["logits", "text_embedding", *(["token_states"] if states else [])]
        wanted += [TOKEN_EMBEDDINGS] if token_embeddings else []
        logits = np.zeros((len(texts), len(self.labels)), dtype=np.float32)
        embeddings, kept, entered = [], [], []
        for row, encoding in enumerate(encodings):
            given = (np.array([each], dtype=np.int64) for each in (encoding.ids, encoding.attention_mask))
            found = self._session.run(wanted, dict(zip(self._inputs, given, strict=True)))
            logits[row] = found[0][0]
            embeddings.append(found[1][0])
            kept.append(found[2][0] if states else _NO_STATES)
            if token_embeddings:
                entered.append(found[-1][0])
        return EncodedTexts(logits, np.array(embeddings) if embeddings else _NO_STATES, kept, encodings, entered)

    def score(self, texts: list[str], policy: str | None = None) -> ScoredByEncoder:
        """Score a batch of texts; see `ctiforge.models.cwe_model.CweModel`."""
        encoded = self.encode(texts, states=True)
        scores = encoded.logits + self._shifts[policy] if policy in self._shifts else encoded.logits
        return ScoredByEncoder(self, encoded, scores, self._calibrations[policy or "mitre"].probabilities(scores))

    def contributions(self, encoded: EncodedTexts, text: int, label: int, most: int) -> Contributions:
        """Return the words of a text that add most to the logit of a label, beyond what they add to the average label.

        A word's part is the sum of its tokens' states times the label's row of the head. Special tokens have no place in the
        text and are left out.
        """
        states, words = encoded.states[text], encoded.words(text)
        values = states @ self._rows[label] / max(len(states), 1)
        by_word = np.bincount(words.words, weights=values[words.tokens], minlength=len(words.ranges))
        for_it = np.flatnonzero(by_word > 0)
        strongest = for_it[np.argsort(-by_word[for_it], kind="stable")[:most]]
        found = [(*words.ranges[i], float(by_word[i])) for i in strongest]
        return Contributions(float(by_word[for_it].sum()), [Contribution(start, end, value) for start, end, value in found])

    @cached_property
    def _rows(self) -> Floats:
        """The head's rows, less their mean: shape (K, H)."""
        with np.load(io.BytesIO(self._head), allow_pickle=False) as arrays:
            weight: Floats = arrays["weight"].astype(np.float32)
        rows: Floats = weight - weight.mean(axis=0)
        return rows


@dataclass(frozen=True, slots=True)
class ScoredByEncoder:
    """A batch of texts as `EncoderModel` sees it; see `ctiforge.models.cwe_model.ScoredTexts`."""

    model: EncoderModel
    encoded: EncodedTexts
    scores: Floats
    probabilities: npt.NDArray[np.float64]

    def words(self, text: int) -> tuple[int, int]:
        """Return how many words the encoder read, twice: it knows parts of any word."""
        words = len({word for word in self.encoded.encodings[text].word_ids if word is not None})
        return words, words

    def contributions(self, asked: Sequence[tuple[int, int]], most: int) -> list[Contributions]:
        """Return the words that speak most for labels in texts, for each pair of text and label."""
        return [self.model.contributions(self.encoded, text, label, most) for text, label in asked]


def load_encoder(folder: str | os.PathLike[str], *, threads: int = 1) -> EncoderModel:
    """Load and verify an encoder's folder.

    Args:
        threads: of onnxruntime; a feed has several processes with one each.

    Raises:
        MissingExtraError: onnxruntime or tokenizers is not installed.
        ModelError: a file is missing or damaged, or of another format.
    """
    source = Path(folder)
    manifest, digest = read_manifest(source, ENCODER_FORMAT, fix="train one: ctiforge train encoder --help")
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtraError("tokenizers", EXTRA) from None
    try:
        digests = manifest["files"]
        files = {name: read_verified(source / name, digests.get(name)) for name in (_INT8, _HEAD, _TOKENIZER)}
        tokenizer = Tokenizer.from_str(files[_TOKENIZER].decode())
        return EncoderModel(manifest, digest, files[_INT8], tokenizer, files[_HEAD], threads=threads)
    except (KeyError, TypeError, ValueError) as error:
        raise not_a_manifest(source, error) from None
