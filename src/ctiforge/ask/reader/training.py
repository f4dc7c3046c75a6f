"""`train_reader`: a knowledge base in, a folder with the trained reader and its manifest out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from ctiforge import __version__
from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.questions import Question, build_thesaurus, generate_questions
from ctiforge.ask.questions.question import restored_question
from ctiforge.ask.reader.evidence import EvidenceFinder
from ctiforge.ask.reader.features import FEATURES
from ctiforge.ask.reader.fitting import FitSettings, Material, chosen, fit_head, without_meaning
from ctiforge.ask.reader.material import choose_questions, make_material
from ctiforge.ask.reader.model import FORMAT, HEADS, Head, ReaderModel
from ctiforge.core.errors import InputError, SettingError
from ctiforge.core.files import sha256, write_bytes, write_json
from ctiforge.core.manifest import git_revision, package_versions

__all__ = ["TrainingReport", "TrainingSettings", "train_reader"]

HELD_OUT: Final = 5
"""One in so many objects is held out with all of its questions."""
_FEWEST: Final = 40
"""With fewer negated questions than these their head learns from all questions, turned round."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """What the reader learns from.

    Attributes:
        count: questions in all; per_kind: of one kind at most.
        rewording: see `generate_questions`.
    """

    count: int = 3000
    per_kind: int = 60
    rewording: float = 1.0
    seed: int = 11
    fit: FitSettings = field(default_factory=FitSettings)


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a training came to; `manifest` is what was written beside the reader."""

    folder: Path
    manifest: Mapping[str, Any]


def train_reader(
    base: KnowledgeBase,
    out: str | Path,
    settings: TrainingSettings | None = None,
    *,
    keep: Callable[[Question], bool] = lambda question: True,
    kept_by: Mapping[str, Any] | None = None,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingReport:
    """Train a reader on questions made from a knowledge base; a run that was stopped goes on where it was.

    Args:
        out: folder for ``reader.npz``, ``manifest.json``, and ``material/``, which may be deleted afterwards.
        keep: says whether a question may be learnt from: decontamination.
        kept_by: what the manifest says of `keep` (files with digests).
        watch: takes how many of how many questions are read.

    Raises:
        SettingError: the knowledge base has too little to ask about.
        InputError: `out` cannot be written.
    """
    settings = settings or TrainingSettings()
    questions, refused = _questions(base, Path(out) / "material", settings, keep, kept_by)
    if len(questions) < 2 * HELD_OUT:
        raise SettingError(
            f"the knowledge base gives {len(questions)} questions, too few to learn from", fix="build it from more sources"
        )
    digest = sha256("\n".join(each.id + each.stem + "\x1f".join(each.options) for each in questions).encode())
    own = sha256(repr((base.manifest.build, base.has_embeddings, FEATURES, __version__, digest)).encode())[:16]
    material = make_material(questions, EvidenceFinder(base), Path(out) / "material" / own, watch)
    held = _held_out(material)
    judged = _heads(material[~held], settings.fit, base.has_embeddings)
    about: dict[str, Any] = {
        "format": FORMAT,
        "ctiforge": __version__,
        "knowledge_base": base.manifest.build,
        "sources": [{"name": each.name, "version": each.version, "sha256": each.sha256} for each in base.versions],
        "settings": asdict(settings),
        "questions": {"chosen": len(questions), "refused": refused, "sha256": digest, "kept_by": dict(kept_by or {})},
        "held_out": _measured(judged, material[held], base.has_embeddings),
        "unseen_kinds": _unseen_kinds(material, settings.fit, base.has_embeddings),
    }
    reader = ReaderModel(_heads(material, settings.fit, base.has_embeddings), about, "")
    data = reader.to_bytes()
    folder = Path(out)
    write_bytes(folder / "reader.npz", data)
    manifest = {
        **about,
        "sha256": sha256(data),
        "bytes": len(data),
        "git_revision": git_revision(),
        "packages": package_versions(("numpy", "onnxruntime", "tokenizers", "PyStemmer")),
    }
    write_json(folder / "manifest.json", manifest)
    return TrainingReport(folder, manifest)


def _questions(
    base: KnowledgeBase,
    folder: Path,
    settings: TrainingSettings,
    keep: Callable[[Question], bool],
    kept_by: Mapping[str, Any] | None,
) -> tuple[list[Question], int]:
    """Return the questions to learn from and how many were refused; a run that goes on takes those that it had chosen."""
    key = (base.manifest.build, base.has_embeddings, __version__, replace(settings, fit=FitSettings()), kept_by)
    file = folder / f"questions-{sha256(repr(key).encode())[:16]}.json"
    try:
        held = orjson.loads(file.read_bytes())
        return [restored_question(fields) for fields in held["questions"]], int(held["refused"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    made = generate_questions(base, settings.seed, rewording=settings.rewording, thesaurus=build_thesaurus(base))
    questions, refused = choose_questions(made, settings.count, settings.per_kind, keep)
    try:
        write_bytes(file, orjson.dumps({"questions": questions, "refused": refused}))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}", fix="name another folder") from None
    return questions, refused


def _held_out(material: Material) -> npt.NDArray[np.bool_]:
    """Return which questions are about objects that are held out; it follows from the objects' identifiers alone."""
    return np.array([int(sha256(each.encode())[:8], 16) % HELD_OUT == 0 for each in material.subjects.tolist()], dtype=bool)


def _heads(material: Material, settings: FitSettings, meaning: bool) -> dict[str, Head]:
    """Fit all heads; without embeddings those of meaning are those of words."""
    heads: dict[str, Head] = {}
    for name, part in (("words", without_meaning(material)), ("meaning", material)):
        if name == "meaning" and not meaning:
            heads |= {"meaning": heads["words"], "meaning-negated": heads["words-negated"]}
            continue
        heads[name] = fit_head(part[~part.negated], settings)
        turned = part[part.negated]
        heads[f"{name}-negated"] = fit_head(turned, settings) if len(turned) >= _FEWEST else _turned(heads[name])
    return {name: heads[name] for name in HEADS}


def _turned(head: Head) -> Head:
    return Head(head.mean, head.scale, -head.linear, head.hidden, head.bias, -head.out)


def _measured(heads: Mapping[str, Head], held: Material, meaning: bool) -> dict[str, Any]:
    """Return accuracies on what was held out, over all and by kind."""
    found: dict[str, Any] = {"n": len(held)}
    for name, part in (("words", without_meaning(held)), *((("meaning", held),) if meaning else ())):
        right = _right(heads, name, part)
        by_kind = {kind: round(float(right[part.kinds == kind].mean()), 3) for kind in sorted(set(part.kinds.tolist()))}
        found[name] = {"accuracy": round(float(right.mean()), 4), "by_kind": by_kind}
    return found


def _right(heads: Mapping[str, Head], name: str, part: Material) -> npt.NDArray[np.bool_]:
    right = np.zeros(len(part), dtype=bool)
    for rows, head in ((~part.negated, heads[name]), (part.negated, heads[f"{name}-negated"])):
        right[rows] = chosen(head, part[rows]) == part.answers[rows]
    return right


def _unseen_kinds(material: Material, settings: FitSettings, meaning: bool) -> dict[str, float]:
    """Return the accuracy on kinds of questions that were left out of the fit, by families of kinds: how it carries over."""
    part = material if meaning else without_meaning(material)
    part = part[~part.negated]
    family = np.array([_family(each) for each in part.kinds.tolist()])
    held = _held_out(part)
    found: dict[str, float] = {}
    for name in sorted(set(family.tolist())):
        away = family == name
        if (away & held).sum() >= 10 and (~away & ~held).sum() >= 10:
            asked = part[away & held]
            right = chosen(fit_head(part[~away & ~held], settings), asked) == asked.answers
            found[name] = round(float(right.mean()), 4)
    return found


def _family(kind: str) -> str:
    first = kind.split("-")[0]
    families: Sequence[str] = ("definition", "statement", "halves", "term", "by")
    return first if first in families else "graph"
