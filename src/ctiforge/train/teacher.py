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
from typing import Any, NamedTuple
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
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, slots=True)
class MadeTeacher:
    """What `run_train_teacher` made.

    Attributes:
        file: ``cve_ids`` (n), ``labels`` (K), ``probabilities`` (n, K) float16.
        scores: on the development split, by recipe and of all recipes together (``ensemble``); with finished models also by
            model, and of everything together (``all``).
    """

    file: Path
    digest: str
    texts: int
    scores: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The pool that a recipe's fits judge, labelled examples first, and the development split."""

    labels: list[str]
    labelled: list[Example]
    unlabelled: list[Description]
    development: list[Example]

    @classmethod
    def of(cls, run: EncoderRun) -> _Asked:
        labelled = [each for each in run.material.learnt_by(None) if each.cve_id]
        own = {each.cve_id for each in labelled}
        unlabelled = [each for each in run.descriptions if not each.labelled and each.cve_id not in own]
        return cls(run.material.labels, labelled, unlabelled, run.material.development)

    @property
    def pool(self) -> list[Example | Description]:
        return [*self.labelled, *self.unlabelled]

    @property
    def cve_ids(self) -> list[str]:
        return [each.cve_id for each in self.pool]


class _Opinion(NamedTuple):
    """Probabilities for the pool's texts and for the development split, a row for each."""

    pool: Floats
    development: Floats


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
        InputError: files are missing, the recipes do not have the same examples, a model beside them has learnt
            from the development split or knows none of their labels, or `out` cannot be written.
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
    all_asked: list[_Asked] = []
    opinions: dict[str, _Opinion] = {}
    for recipe in recipes:
        said = replace(controls, report=_named(recipe.name, controls.report))
        run = EncoderRun(recipe, Path(data), out / recipe.name, catalogue, said, device, descriptions=True, restart=restart)
        all_asked.append(_Asked.of(run))
        opinions[recipe.name] = _opinion(run, all_asked[-1], folds)
    asked, *others = all_asked
    if any(other.labels != asked.labels or other.cve_ids != asked.cve_ids for other in others):
        raise InputError(
            f"{', '.join(opinions)}: the recipes have different examples or labels",
            fix="give them the same sources, exclude, split, min_examples and max_per_label",
        )
    pool, development = (_mean(each) for each in zip(*opinions.values(), strict=True))
    scores = {name: _measured(each.development, asked) for name, each in opinions.items()}
    scores["ensemble"] = _measured(development, asked)
    if beside:
        judged = [_judged(model, asked, controls.report) for model in beside]
        for model, each in zip(beside, judged, strict=True):
            name = model.name if model.name not in scores else f"{model.name} {model.digest[:12]}"
            scores[name] = _measured(each.development, asked)
        theirs = _Opinion(*(_mean(each) for each in zip(*judged, strict=True)))
        rest = slice(len(asked.labelled), None)
        pool[rest] = _joined(pool[rest], theirs.pool)
        scores["all"] = _measured(_joined(development, theirs.development), asked)
    file = write_teacher(out, asked.cve_ids, asked.labels, pool)
    digest = file_sha256(file)
    models = [{"name": model.name, "digest": model.digest} for model in beside]
    write_json(out / "development.json", {"folds": folds, "beside": models, "scores": scores, "sha256": digest})
    return MadeTeacher(file, digest, len(asked.pool), scores)


def _check_cuts(beside: Sequence[CweModel], recipes: Sequence[EncoderRecipe]) -> None:
    cut = str(min(recipe.split.development_from for recipe in recipes))
    for model in beside:
        theirs = model.manifest.get("recipe", {}).get("split", {}).get("development_from")
        if theirs is None or theirs > cut:
            learnt = "may have learnt from" if theirs is None else f"learnt until {theirs}, so from"
            raise InputError(
                f"{model.name} ({model.digest[:12]}) {learnt} CVEs of the development split, which begins on {cut}",
                fix="train it with the same 'split', or leave it out",
            )


def _judged(model: CweModel, asked: _Asked, report: Callable[[str], None]) -> _Opinion:
    """Return a finished model's probabilities, each row adding up to 1: of the pool only for descriptions without a label."""
    column = {label: i for i, label in enumerate(model.labels)}
    shared = [(i, column[label]) for i, label in enumerate(asked.labels) if label in column]
    if not shared:
        raise InputError(
            f"{model.name} ({model.digest[:12]}) knows none of the recipes' {len(asked.labels)} labels", fix="leave it out"
        )
    own, theirs = np.array(shared).T
    texts = [*(each.text for each in asked.unlabelled), *(each.text for each in asked.development)]
    report(f"{model.name}: {len(texts):,} descriptions to judge")
    judged = np.zeros((len(texts), len(asked.labels)), dtype=np.float32)
    for start in range(0, len(texts), _AT_ONCE):
        given = model.score(texts[start : start + _AT_ONCE]).probabilities[:, theirs]
        judged[start : start + _AT_ONCE, own] = given / np.maximum(given.sum(axis=1, keepdims=True), _TINY)
    return _Opinion(judged[: len(asked.unlabelled)], judged[len(asked.unlabelled) :])


def _joined(ensemble: Floats, finished: Floats) -> Floats:
    joined: Floats = (1 - _BESIDE_SHARE) * ensemble + _BESIDE_SHARE * finished
    return joined


def _named(name: str, report: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: report(f"{name}: {text}")


def _opinion(run: EncoderRun, asked: _Asked, folds: int) -> _Opinion:
    """Return what a recipe's fits say, as it is kept; ask them where there is nothing of this run."""
    file = run.out / "run" / "opinion.safetensors"
    words = {"fingerprint": f"{run.fingerprint}-{folds}", "cve_ids": asked.cve_ids}
    kept = _read_opinion(file, words)
    if kept is not None:
        run.report("judged before")
        return kept
    found = _ask(run, asked, folds)
    tensors: dict[str, npt.NDArray[Any]] = {"pool": found.pool.astype(np.float16), "development": found.development}
    with writing(file, run.out / "run"):
        write_bytes(file, save(tensors, {"ctiforge": json.dumps(words)}))
    return _read_opinion(file, words) or found


def _read_opinion(file: Path, wanted: dict[str, Any]) -> _Opinion | None:
    if not file.is_file():
        return None
    with safe_open(file, framework="np") as stored:
        words = json.loads(stored.metadata()["ctiforge"])
        if any(words[name] != value for name, value in wanted.items()):
            return None
        return _Opinion(stored.get_tensor("pool").astype(np.float32), stored.get_tensor("development"))


def _ask(run: EncoderRun, asked: _Asked, folds: int) -> _Opinion:
    """Return what a recipe's fits say."""
    fold_of = np.array([crc32(each.cve_id.encode()) % folds for each in asked.labelled] + [-1] * len(asked.unlabelled))
    texts = tokenize_texts(run.tokens.tokenizer, [each.text for each in asked.pool])
    pool = np.zeros((len(fold_of), len(asked.labels)), dtype=np.float32)
    development = np.zeros((len(asked.development), len(asked.labels)), dtype=np.float32)
    for fold in range(folds):
        network = run.network()
        learnt = [each for each, own_fold in zip(asked.labelled, fold_of, strict=False) if folds == 1 or own_fold != fold]
        run.fit(
            network, learnt, folder=f"fold-{fold}", name=f"fold {fold + 1} of {folds}", fingerprint=f"-teacher-{fold}-{folds}"
        )
        places = np.flatnonzero((fold_of == fold) | (fold_of == -1))
        run.report(f"fold {fold + 1} of {folds}: {len(places):,} descriptions to judge")
        judged = _shares(run.scores(network, TokenizedTexts([texts.ids[i] for i in places])))
        pool[places] += judged / np.where(fold_of[places] == -1, folds, 1)[:, None]
        development += _shares(run.scores(network, run.tokens.development)) / folds
    return _Opinion(pool, development)


def _shares(scores: Floats) -> Floats:
    given = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = given / given.sum(axis=1, keepdims=True)
    return shares


def _mean(parts: Sequence[Floats]) -> Floats:
    mean: Floats = np.mean(np.stack(parts), axis=0) if len(parts) > 1 else parts[0].copy()
    return mean


def _measured(probabilities: Floats, asked: _Asked) -> dict[str, Any]:
    scores = np.log(np.maximum(probabilities, 1e-9)).astype(np.float32)
    assigned = [each.labels for each in asked.development]
    measured = split_scores(scores, assigned, asked.labels)
    return measured | {"loss": round(mean_loss(scores, hit_matrix(asked.labels, assigned)), 4)}
