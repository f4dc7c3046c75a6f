"""Give a blend a second encoder that reads the first one's embeddings: one graph gets an output, the other is cut.

The embeddings are half of a small encoder's bytes. A second encoder that was trained upon the first one's, without learning
them, needs no copy: the first also gives what its embedding block makes of a text, and the second begins there.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import zstandard

from ctiforge import __version__
from ctiforge.core.errors import MissingExtraError, ModelError
from ctiforge.core.files import sha256, write_bytes, write_json
from ctiforge.models.artefact import read_manifest, read_verified
from ctiforge.models.encoder import ENCODER_FORMAT, EXTRA, TOKEN_EMBEDDINGS
from ctiforge.models.onnx_runtime import open_session
from ctiforge.models.second_encoder import SECOND_ENCODER_FORMAT, SECOND_ENCODER_MODEL
from ctiforge.train.encoder_checkpoint import writing
from ctiforge.train.encoder_export import HEAD, INPUTS, OUTPUTS
from ctiforge.train.encoder_onnx import INT8

__all__ = ["cut_embeddings", "with_token_embeddings", "write_joined_encoders"]

_IDS, _MASK = INPUTS
_LOGITS = OUTPUTS[0]
_TOKENIZER = "tokenizer.json"
_FILES = (INT8, HEAD, _TOKENIZER)
_MOST_DIFFERENCE = 1e-3
"""Between the outputs of both embedding blocks, which have a deviation of about 1 in each dimension before the norm's weights.
The same weights give the same bits; a scale rounded otherwise moves the last ones."""
_KEPT = (
    "name", "description", "labels", "max_length", "pad_id", "base_model", "fit", "development", "windows", "export",
    "left_out", "examples", "recipe", "data", "cwe_version", "cwe_digest", "licence", "git_revision", "packages", "reference",
)  # fmt: skip
_FIX = "train the second encoder upon the first one's embeddings ('embeddings' in its recipe, docs/training-encoder.md)"


def write_joined_encoders(first: Path, second: Path, out: Path) -> None:
    """Write `first` with the output ``token_embeddings`` to the folder ``encoder`` in `out`, `second` cut there to ``second``.

    Both manifests keep the digest of the manifest that they were made from, as ``made_from``.

    Raises:
        InputError: the folders cannot be written.
        ModelError: a model is missing or damaged, its graph has no such place, or `second` reads other embeddings than `first`.
    """
    fix = "train one: ctiforge train encoder --help"
    (ours, our_digest), (theirs, their_digest) = (read_manifest(each, ENCODER_FORMAT, fix=fix) for each in (first, second))
    kept, cut = ({name: read_verified(folder / name, manifest.get("files", {}).get(name)) for name in _FILES}
                 for folder, manifest in ((first, ours), (second, theirs)))  # fmt: skip
    if kept[_TOKENIZER] != cut[_TOKENIZER]:
        raise _differ(first, second, "another tokenizer.json")
    for setting in ("max_length", "pad_id"):
        if ours.get(setting) != theirs.get(setting):
            raise _differ(first, second, f"{setting} {theirs.get(setting)}, not {ours.get(setting)}")
    plain = cut[INT8]
    kept[INT8], cut[INT8] = _of(first, with_token_embeddings, kept[INT8]), _of(second, cut_embeddings, plain)
    embedded, logits = _differences(kept, _of(second, with_token_embeddings, plain), cut[INT8], int(ours["max_length"]))
    if not embedded <= _MOST_DIFFERENCE:  # nor where it is not a number
        raise _differ(first, second, f"embeddings that are up to {embedded:.2g} away")

    with writing(out / "encoder", out):
        for name, data in kept.items():
            write_bytes(out / "encoder" / name, data)
        if TOKEN_EMBEDDINGS in ours.get("outputs", []):  # it was joined before
            if first.resolve() != (out / "encoder").resolve():
                shutil.copyfile(first / "manifest.json", out / "encoder" / "manifest.json")
        else:
            changes = {
                "outputs": [*OUTPUTS, TOKEN_EMBEDDINGS],
                "files": ours["files"] | {INT8: sha256(kept[INT8])},
                "made_from": our_digest,
            }
            write_json(out / "encoder" / "manifest.json", ours | changes)
        packed = zstandard.ZstdCompressor(level=19).compress(cut[INT8])
        write_bytes(out / "second" / SECOND_ENCODER_MODEL, packed)
        manifest = {name: theirs[name] for name in _KEPT if name in theirs} | {
            "format": SECOND_ENCODER_FORMAT,
            "inputs": [TOKEN_EMBEDDINGS, _MASK],
            "outputs": [_LOGITS],
            "files": {SECOND_ENCODER_MODEL: sha256(packed)},
            "made_from": their_digest,
            "reads": {"name": ours["name"], "digest": ours.get("made_from", our_digest)},
            "cut": {"token_embeddings_difference": embedded, "logits_difference": logits},
            "ctiforge": __version__,
        }
        write_json(out / "second" / "manifest.json", manifest)


def with_token_embeddings(model: bytes) -> bytes:
    """Return an exported encoder that also gives ``token_embeddings``, float32 (B, T, H): what enters its first layer.

    Raises:
        ModelError: the graph has no such place.
    """
    import onnx

    parsed = onnx.load_from_string(model)
    graph = parsed.graph
    if all(each.name != TOKEN_EMBEDDINGS for each in graph.output):
        graph.output.append(_end_with_name(graph))
    return cast(bytes, parsed.SerializeToString())


def cut_embeddings(model: bytes) -> bytes:
    """Return an exported encoder without its embeddings: from ``token_embeddings`` and ``attention_mask`` to ``logits``.

    Raises:
        ModelError: the graph has no such place, or needs the token IDs beyond it.
    """
    import onnx

    parsed = onnx.load_from_string(model)
    graph = parsed.graph
    embedded = _end_with_name(graph)
    for node in graph.node:
        if node.op_type == "Shape" and node.input[0] == _IDS:
            node.input[0] = _MASK  # of the same shape
    makers = {name: node for node in graph.node for name in node.output}
    needed, left = {TOKEN_EMBEDDINGS}, [_LOGITS]
    while left:
        name = left.pop()
        if name and name not in needed:
            needed.add(name)
            left += makers[name].input if name in makers else ()
    if _IDS in needed:
        raise ModelError("the layers need the token IDs beside the embeddings", fix="train a BERT encoder")
    nodes = [node for node in graph.node if not {*node.output}.isdisjoint(needed) and TOKEN_EMBEDDINGS not in node.output]
    kept = {
        "node": nodes,
        "initializer": [each for each in graph.initializer if each.name in needed],
        "input": [embedded, *(each for each in graph.input if each.name == _MASK)],
        "output": [each for each in graph.output if each.name == _LOGITS],
        "value_info": [each for each in graph.value_info if each.name in needed],
    }
    for field, values in kept.items():
        copies = [type(each).FromString(each.SerializeToString()) for each in values]
        graph.ClearField(field)
        getattr(graph, field).extend(copies)
    onnx.checker.check_model(parsed)
    return cast(bytes, parsed.SerializeToString())


def _end_with_name(graph: Any) -> Any:
    """Name the tensor where the embeddings end ``token_embeddings``, and return its type and shape.

    It is what the first LayerNormalization over the token IDs gives. Every path from their values to the outputs leads through
    it, and it knows nothing of the attention mask but its shape.
    """
    from onnx import TensorProto, helper

    end = next((node for node in graph.node if TOKEN_EMBEDDINGS in node.output), None)
    if end is None:
        from_ids = _reached(graph, _IDS)
        end = next(
            (each for each in graph.node if each.op_type == "LayerNormalization" and not from_ids.isdisjoint(each.input)), None
        )
    given = {each.name for each in graph.output} - {TOKEN_EMBEDDINGS}
    if (
        end is None
        or not given.isdisjoint(_reached(graph, _IDS, without=end.output[0]))
        or not _reached(graph, _MASK).isdisjoint(end.input)
    ):
        raise ModelError("no place in the graph where the embeddings end", fix="train a BERT encoder")
    before = end.output[0]
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [TOKEN_EMBEDDINGS if name == before else name for name in names]
    for place, each in enumerate(graph.value_info):
        if each.name == before:
            del graph.value_info[place]
            break
    (width,) = next(each.dims for each in graph.initializer if each.name == end.input[1])
    read = next(each for each in graph.input if each.name == _MASK).type.tensor_type.shape.dim
    return helper.make_tensor_value_info(TOKEN_EMBEDDINGS, TensorProto.FLOAT, [*(each.dim_param for each in read), width])


def _reached(graph: Any, start: str, without: str = "") -> set[str]:
    """Return the tensors whose values depend on those of `start`, but for what only its shape or `without` decides."""
    found = {start}
    for node in graph.node:
        if node.op_type != "Shape" and not found.isdisjoint(node.input):
            found.update(name for name in node.output if name != without)
    return found


def _differences(first: dict[str, bytes], second: bytes, cut: bytes, length: int) -> tuple[float, float]:
    """Return the greatest difference between both embedding blocks, and between the second encoder's logits and those of its
    cut graph over the first one's embeddings: for every token of the vocabulary, and every position.

    Args:
        first: the files of the first encoder, which gives its embeddings, as `second` does.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtraError("tokenizers", EXTRA) from None

    size = Tokenizer.from_str(first[_TOKENIZER].decode()).get_vocab_size()
    ours, theirs, short = (open_session(each, threads=0, extra=EXTRA) for each in (first[INT8], second, cut))
    embedded = logits = 0.0
    mask = np.ones((1, length), dtype=np.int64)
    for start in range(0, size, length):
        given = {_IDS: np.arange(start, start + length, dtype=np.int64)[None] % size, _MASK: mask}
        (own,) = ours.run([TOKEN_EMBEDDINGS], given)
        other, whole = theirs.run([TOKEN_EMBEDDINGS, _LOGITS], given)
        if own.shape != other.shape:
            return float("inf"), float("inf")
        (answered,) = short.run([_LOGITS], {TOKEN_EMBEDDINGS: own, _MASK: mask})
        embedded = float(np.maximum(embedded, np.abs(own - other).max()))
        logits = float(np.maximum(logits, np.abs(answered - whole).max()))
    return embedded, logits


def _of(folder: Path, change: Any, model: bytes) -> bytes:
    """Change a model; an error names its folder."""
    try:
        return cast(bytes, change(model))
    except ModelError as error:
        raise ModelError(f"{folder / INT8}: {error.message}", fix=error.fix) from None


def _differ(first: Path, second: Path, what: str) -> ModelError:
    return ModelError(f"{second} does not read the embeddings of {first}: it has {what}", fix=_FIX)
