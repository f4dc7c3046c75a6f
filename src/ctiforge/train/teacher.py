"""An ensemble of large models says what it thinks of every description, so that a small encoder can learn from it.

Distillation (Hinton, Vinyals and Dean 2015, arXiv 1503.02531). What a model says of a text that it has learnt is the label and
little more, so labelled descriptions are dealt to folds, and each is judged by the fit that has not learnt it; one without a
label is judged by all fits. The models' probabilities are averaged. Finished models, such as a linear one that errs in other
places, may judge the descriptions without a label beside them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save

from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, write_bytes, write_json
from ctiforge.models.cwe_model import CweModel
from ctiforge.models.token_batches import TokenizedTexts, tokenize_texts
from ctiforge.sources.cwe import CweCatalogue, load_catalogue
from ctiforge.train.descriptions import Description
from ctiforge.train.development_scores import hit_matrix, mean_loss, split_scores
from ctiforge.train.encoder import check_packages
from ctiforge.train.encoder_checkpoint import writing
from ctiforge.train.encoder_fitting import Controls
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.encoder_run import EncoderRun
from ctiforge.train.encoder_targets import TEACHER, Floats, write_teacher
from ctiforge.train.examples import Example

__all__ = ["TEACHER", "MadeTeacher", "run_train_teacher"]

_BESIDE_SHARE = 0.4
"""Of finished models in what is said of a text: as likely as a logarithmic pool with fitted weights (docs/lab-log.md)."""
_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class MadeTeacher:
    """What `run_train_teacher` made.

    Attributes:
        file: ``cve_ids`` (n), ``labels`` (K), ``probabilities`` (n, K) float16.
        scores: on the development split, by recipe and of all together (``ensemble``).
    """

    file: Path
    digest: str
    texts: int
    scores: dict[str, dict[str, Any]]


@dataclass(slots=True)
class _Opinion:
    """One recipe's probabilities for the pool's texts and for the development split.

    Attributes:
        unlabelled: texts of the pool without a label, which are the last of it; `development_texts` those of the split.
    """

    cve_ids: list[str]
    labels: list[str]
    pool: Floats
    development: Floats
    assigned: Sequence[tuple[str, ...]]
    unlabelled: Sequence[str]
    development_texts: Sequence[str]


def run_train_teacher(
    recipes: Sequence[EncoderRecipe],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    folds: int = 3,
    beside: Sequence[CweModel] = (),
    catalogue: CweCatalogue | None = None,
    device: str = "auto",
    threads: int | None = None,
    restart: bool = False,
    controls: Controls | None = None,
) -> MadeTeacher:
    """Fit each recipe `folds` times and write what they say together; the same call goes on after a kill.

    Args:
        out: `TEACHER` is the result, ``development.json`` what it scores; checkpoints go to a folder for each recipe.
        folds: 1 fits each recipe once, on everything: quicker, and with little to say of labelled descriptions.
        beside: finished models whose probabilities have a share of 0.4 in what is said of descriptions without a label; they
            have learnt the labelled ones.

    Raises:
        MissingExtraError: a package is not installed.
        InputError: files are missing, the recipes do not have the same examples, a model has learnt from the development
            split, or `out` cannot be written.
        ModelError: a base model cannot be loaded.
        RecipeError: the loss is not a number.
    """
    check_packages()
    import torch

    if threads:
        torch.set_num_threads(threads)
    out = Path(out)
    controls = controls or Controls()
    catalogue = catalogue or load_catalogue()
    _check_cuts(beside, recipes)
    opinions: dict[str, _Opinion] = {}
    for recipe in recipes:
        said = replace(controls, report=_named(recipe.name, controls.report))
        run = EncoderRun(recipe, Path(data), out / recipe.name, catalogue, said, device, descriptions=True, restart=restart)
        opinions[recipe.name] = _opinion(run, folds)
    first, *others = opinions.values()
    if any(other.labels != first.labels or other.cve_ids != first.cve_ids for other in others):
        raise InputError(
            f"{', '.join(opinions)}: the recipes have different examples or labels",
            fix="give them the same sources, exclude, split, min_examples and max_per_label",
        )
    scores = {name: _measured(each.development, first) for name, each in opinions.items()}
    together = _mean([each.development for each in opinions.values()])
    scores["ensemble"] = _measured(together, first)
    pool = _mean([each.pool for each in opinions.values()])
    if beside:
        rest = slice(len(pool) - len(first.unlabelled), None)
        for model in beside:
            controls.report(f"{model.name}: {len(first.unlabelled):,} descriptions without a label to judge")
        pool[rest] = _joined(pool[rest], beside, first.unlabelled, first.labels)
        scores |= {m.name: _measured(_judged([m], first.development_texts, first.labels), first) for m in beside}
        scores["all"] = _measured(_joined(together, beside, first.development_texts, first.labels), first)
    file = write_teacher(out, first.cve_ids, first.labels, pool)
    write_json(out / "development.json", {"folds": folds, "scores": scores, "sha256": file_sha256(file)})
    return MadeTeacher(file, file_sha256(file), len(first.cve_ids), scores)


def _check_cuts(beside: Sequence[CweModel], recipes: Sequence[EncoderRecipe]) -> None:
    cut = str(min(recipe.split.development_from for recipe in recipes))
    for model in beside:
        split = model.manifest.get("recipe", {}).get("split", {})
        if split.get("development_from", "unknown") > cut:
            raise InputError(
                f"{model.name} ({model.digest[:12]}) learnt from CVEs of the development split, which begins on {cut}",
                fix="train it with the same 'split', or leave it out",
            )


def _joined(ours: Floats, beside: Sequence[CweModel], texts: Sequence[str], labels: Sequence[str]) -> Floats:
    joined: Floats = (1 - _BESIDE_SHARE) * ours + _BESIDE_SHARE * _judged(beside, texts, labels)
    return joined


def _judged(models: Sequence[CweModel], texts: Sequence[str], labels: Sequence[str]) -> Floats:
    """Return the models' mean probabilities, shape (n, K), each row adding up to 1 over `labels`."""
    place = {label: i for i, label in enumerate(labels)}
    total = np.zeros((len(texts), len(labels)), dtype=np.float32)
    for model in models:
        theirs, own = np.array([(i, place[label]) for i, label in enumerate(model.labels) if label in place]).T
        for start in range(0, len(texts), _AT_ONCE):
            given = model.score(list(texts[start : start + _AT_ONCE])).probabilities[:, theirs]
            total[start : start + _AT_ONCE, own] += given / np.maximum(given.sum(axis=1, keepdims=True), 1e-9) / len(models)
    return total


def _named(name: str, report: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: report(f"{name}: {text}")


def _opinion(run: EncoderRun, folds: int) -> _Opinion:
    """Return what a recipe's fits say, as it is kept; ask them where there is nothing of this run."""
    file = run.out / "run" / "opinion.safetensors"
    asked_for = f"{run.fingerprint}-{folds}"
    kept = _read_opinion(file, asked_for, run)
    if kept is not None:
        run.report("judged before")
        return kept
    found = _ask(run, folds)
    words = {"fingerprint": asked_for, "cve_ids": found.cve_ids}
    tensors: dict[str, npt.NDArray[Any]] = {"pool": found.pool.astype(np.float16), "development": found.development}
    with writing(file, run.out / "run"):
        write_bytes(file, save(tensors, {"ctiforge": json.dumps(words)}))
    return _read_opinion(file, asked_for, run) or found


def _read_opinion(file: Path, asked_for: str, run: EncoderRun) -> _Opinion | None:
    if not file.is_file():
        return None
    with safe_open(file, framework="np") as stored:
        words = json.loads(stored.metadata()["ctiforge"])
        if words["fingerprint"] != asked_for:
            return None
        pool = stored.get_tensor("pool").astype(np.float32)
        return _opinion_of(run, words["cve_ids"], pool, stored.get_tensor("development"))


def _opinion_of(run: EncoderRun, cve_ids: list[str], pool: Floats, development: Floats) -> _Opinion:
    split = run.material.development
    return _Opinion(
        cve_ids, run.material.labels, pool, development, [each.labels for each in split],
        [each.text for each in _pool(run)[1]], [each.text for each in split],
    )  # fmt: skip


def _pool(run: EncoderRun) -> tuple[list[Example], list[Description]]:
    """Return the labelled examples and the descriptions without a label that are judged."""
    examples = [each for each in run.material.learnt_by(None) if each.cve_id]
    own = {each.cve_id for each in examples}
    return examples, [each for each in run.descriptions if not each.labelled and each.cve_id not in own]


def _ask(run: EncoderRun, folds: int) -> _Opinion:
    """Return what a recipe's fits say."""
    examples, rest = _pool(run)
    asked_of: list[Example | Description] = [*examples, *rest]
    cve_ids = [each.cve_id for each in asked_of]
    fold_of = np.array([crc32(each.cve_id.encode()) % folds for each in examples] + [-1] * len(rest))
    texts = tokenize_texts(run.tokens.tokenizer, [each.text for each in asked_of])
    pool = np.zeros((len(cve_ids), len(run.material.labels)), dtype=np.float32)
    development = np.zeros((len(run.material.development), pool.shape[1]), dtype=np.float32)
    for fold in range(folds):
        network = run.network()
        learnt = [each for each, own_fold in zip(examples, fold_of, strict=False) if folds == 1 or own_fold != fold]
        run.fit(
            network, learnt, folder=f"fold-{fold}", name=f"fold {fold + 1} of {folds}", fingerprint=f"-teacher-{fold}-{folds}"
        )
        asked = np.flatnonzero((fold_of == fold) | (fold_of == -1))
        run.report(f"fold {fold + 1} of {folds}: {len(asked):,} descriptions to judge")
        judged = _shares(run.scores(network, TokenizedTexts([texts.ids[i] for i in asked])))
        pool[asked] += judged / np.where(fold_of[asked] == -1, folds, 1)[:, None]
        development += _shares(run.scores(network, run.tokens.development)) / folds
    return _opinion_of(run, cve_ids, pool, development)


def _shares(scores: Floats) -> Floats:
    given = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = given / given.sum(axis=1, keepdims=True)
    return shares


def _mean(parts: Sequence[Floats]) -> Floats:
    mean: Floats = np.mean(np.stack(parts), axis=0) if len(parts) > 1 else parts[0].copy()
    return mean


def _measured(probabilities: Floats, opinion: _Opinion) -> dict[str, Any]:
    scores = np.log(np.maximum(probabilities, 1e-9)).astype(np.float32)
    measured = split_scores(scores, opinion.assigned, opinion.labels)
    return measured | {"loss": round(mean_loss(scores, hit_matrix(opinion.labels, opinion.assigned)), 4)}
