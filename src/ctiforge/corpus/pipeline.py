"""Build a corpus: one recipe, one folder of data, one folder of results; what did not change is not done again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from ctiforge.core.errors import InputError, SettingError
from ctiforge.core.files import file_sha256
from ctiforge.corpus.contamination import load_benchmarks
from ctiforge.corpus.cves import decode_cves, read_cves
from ctiforge.corpus.decontaminate import decontaminate
from ctiforge.corpus.deduplicate import deduplicate
from ctiforge.corpus.evidence import find_evidence
from ctiforge.corpus.model_qa import ModelSource, ask_model
from ctiforge.corpus.publish import publish
from ctiforge.corpus.rcm import make_rcm_records
from ctiforge.corpus.recipe import CorpusRecipe, ModelQa, Qa, Rcm
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.selection import balance, split_by_date
from ctiforge.corpus.stages import StageResult, StageStore, StageWriter, Watch
from ctiforge.corpus.wording import word_records
from ctiforge.sources.cwe import CweCatalogue, find_cwe2_xml, load_catalogue

__all__ = ["BuildReport", "run_build"]

_SHARED = ("corpus/lines.py", "corpus/record.py", "corpus/stages.py", "core/normalized_text.py", "core/ids.py")
_PHRASES = ("corpus/cwe_phrases.py", "models/text_features.py", "sources/cwe_names.py", "sources/cwe_wordings.py")


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What `run_build` made.

    Attributes:
        records: how many by split.
        stages: in order; those that were skipped say so.
        published: False if the files were there already, byte for byte.
        not_written: files that could not be made, with the reason.
    """

    folder: Path
    records: dict[str, int]
    stages: tuple[StageResult, ...]
    published: bool
    not_written: dict[str, str]


def run_build(
    recipe: CorpusRecipe,
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    catalogue: CweCatalogue | None = None,
    model: ModelSource | None = None,
    watch: Watch = lambda event: None,
) -> BuildReport:
    """Build the corpus of `recipe` from the files below `data` into `out`.

    Finished stages stay in ``out/.stages``, so a build that was killed goes on after the last finished one, and a build with
    another setting does again only what depends on it.

    Args:
        model: whom to ask where the recipe has a part `model_qa`.

    Raises:
        SettingError: the recipe has such a part and there is no model, or the other way round.
        InputError: files that the recipe names are missing (all of them are named), a benchmark file is not what its pin says,
            nothing is left, or `out` cannot be written.
    """
    if recipe.model_qa is not None and model is None:
        raise SettingError("the recipe asks a model (model_qa), and none is named", fix="--model URL, or take model_qa out")
    if recipe.model_qa is None and model is not None:
        raise SettingError("a model is named, and the recipe has no model_qa", fix="take --model away, or add model_qa to it")
    build = _Build(recipe, Path(data), Path(out), catalogue or load_catalogue(), model, watch)
    final = build.stages()
    if not final.kept:
        raise InputError(
            f"{recipe.name}: no record is left of those that were read",
            fix=f"see the reasons in {final.folder.parent}, and relax the filters of the recipe",
        )
    return build.publish(final)


def _all_records(stages: Sequence[StageResult]) -> Iterator[CorpusRecord]:
    return chain.from_iterable(stage.records() for stage in stages)


class _Build:
    """One build: the files it reads, and the stages done so far."""

    def __init__(
        self, recipe: CorpusRecipe, data: Path, out: Path, catalogue: CweCatalogue, model: ModelSource | None, watch: Watch
    ) -> None:
        self._recipe = recipe
        self._data = data
        self._out = out
        self._catalogue = catalogue
        self._model = model
        self._watch = watch
        self._store = StageStore(out / ".stages", watch)
        self._done: list[StageResult] = []
        self._digests = self._digest_files()

    def _digest_files(self) -> dict[str, str]:
        recipe = self._recipe
        names = [source.path for source in recipe.sources] + recipe.decontaminate.against
        names += [source.path for source in recipe.qa.sources if source.path] if recipe.qa else []
        missing = [name for name in names if not (self._data / name).is_file()]
        if missing:
            listed = "\n".join(f"  {self._data / name}" for name in missing)
            raise InputError(
                f"{len(missing)} of the files that the recipe names are not there:\n{listed}",
                fix="--data DIR is the folder that holds them; else take them out of the recipe",
            )
        return {name: file_sha256(self._data / name) for name in dict.fromkeys(names)}

    def _run(
        self,
        name: str,
        work: Callable[[StageWriter], None],
        settings: dict[str, Any],
        inputs: Sequence[str],
        code: Sequence[str],
    ) -> StageResult:
        result = self._store.run(name, work, settings=settings, inputs=inputs, code=(*_SHARED, *code))
        self._done.append(result)
        return result

    def stages(self) -> StageResult:
        """Run all stages, or find them done, and return the last."""
        recipe = self._recipe
        made = [self._rcm(recipe.rcm)] if recipe.rcm else []
        made += [self._qa(recipe.qa)] if recipe.qa else []
        clean = self._decontaminate("decontaminate", self._deduplicate("deduplicate", made))
        if recipe.model_qa and self._model:
            asked = self._deduplicate("deduplicate-model", [self._ask_model(clean, recipe.model_qa, self._model)])
            parts = [clean, self._decontaminate("decontaminate-model", asked)]
        else:
            parts = [clean]
        shown = self._evidence(parts, recipe.rcm)
        balanced = self._balance(shown)
        split = self._split(balanced)
        wordings = {"instructions", "reasons", "reasons_without_phrase"}
        settings = {"rcm": recipe.rcm.model_dump(mode="json", include=wordings) if recipe.rcm else None, "seed": recipe.seed}
        return self._run(
            "word",
            lambda writer: word_records(writer, split.records(), recipe.rcm, recipe.seed, self._catalogue),
            settings,
            [split.digest, self._catalogue.digest],
            ("corpus/wording.py",),
        )

    def _rcm(self, rcm: Rcm) -> StageResult:
        recipe, catalogue = self._recipe, self._catalogue
        feeds = {source.path: self._data / source.path for source in recipe.sources}
        cves = self._run(
            "read-cves",
            lambda writer: read_cves(writer, feeds, catalogue),
            {"sources": list(feeds)},
            [*(self._digests[name] for name in feeds), catalogue.digest],
            ("corpus/cves.py", "sources"),
        )
        settings = {
            "rcm": rcm.model_dump(mode="json", include={"years", "labels", "min_characters", "max_characters"}),
            "licences": {source.path: source.licence for source in recipe.sources},
            "reserved": {cve_id: day.isoformat() for cve_id, day in recipe.split.reserved.items()},
        }
        del settings["rcm"]["labels"]["min_support"]  # asked of the finished corpus
        return self._run(
            "label-cves",
            lambda writer: make_rcm_records(
                writer, decode_cves(cves.lines()), cves.kept, rcm, settings["licences"], recipe.split.reserved, catalogue
            ),
            settings,
            [cves.digest, catalogue.digest],
            ("corpus/rcm.py", "corpus/labels.py", "sources/labelled_cves.py", "sources/reservation_dates.py", *_PHRASES),
        )

    def _qa(self, qa: Qa) -> StageResult:
        from ctiforge.corpus.qa_stage import make_qa_records

        files = {source.path: self._data / source.path for source in qa.sources if source.path}
        return self._run(
            "ask-catalogues",
            lambda writer: make_qa_records(writer, qa, files, self._recipe.seed),
            {"qa": qa.model_dump(mode="json", exclude={"limit"}), "seed": self._recipe.seed},
            [*(self._digests[name] for name in files), self._packaged_cwe(qa)],
            ("corpus/qa_stage.py", "corpus/qa", "sources"),
        )

    def _packaged_cwe(self, qa: Qa) -> str:
        """Return the digest of the CWE texts that come with a package, if the recipe asks for them."""
        if not any(source.kind == "cwe" and not source.path for source in qa.sources):
            return ""
        return file_sha256(find_cwe2_xml())

    def _deduplicate(self, name: str, made: Sequence[StageResult]) -> StageResult:
        settings = self._recipe.deduplicate
        return self._run(
            name,
            lambda writer: deduplicate(writer, _all_records(made), settings),
            settings.model_dump(mode="json"),
            [stage.digest for stage in made],
            ("corpus/deduplicate.py", "corpus/near_pairs.py"),
        )

    def _decontaminate(self, name: str, made: StageResult) -> StageResult:
        settings = self._recipe.decontaminate

        def work(writer: StageWriter) -> None:
            benchmarks = load_benchmarks([self._data / path for path in settings.against])
            decontaminate(writer, list(made.records()), benchmarks, settings)

        digests = [self._digests[path] for path in settings.against]
        code = ("corpus/decontaminate.py", "corpus/contamination", "corpus/rows.py")
        return self._run(name, work, settings.model_dump(mode="json"), [made.digest, *digests], code)

    def _ask_model(self, clean: StageResult, settings: ModelQa, model: ModelSource) -> StageResult:
        seed, catalogue = self._recipe.seed, self._catalogue
        answers = self._out / ".stages" / "model-answers.jsonl"
        return self._run(
            "ask-model",
            lambda writer: ask_model(writer, list(clean.records()), settings, model, seed, catalogue, answers),
            {"model_qa": settings.model_dump(mode="json"), "model": model.identity, "seed": seed},
            [clean.digest, catalogue.digest],
            ("corpus/model_qa.py", "corpus/selection.py", *_PHRASES),
        )

    def _evidence(self, parts: Sequence[StageResult], rcm: Rcm | None) -> StageResult:
        day = self._recipe.split.cve_development_from.isoformat()
        without: Literal["keep", "reject"] = "keep" if rcm and rcm.reasons_without_phrase else "reject"
        return self._run(
            "find-evidence",
            lambda writer: find_evidence(writer, _all_records(parts), self._catalogue, day, without_phrase=without),
            {"development_from": day, "without_phrase": without},
            [*(part.digest for part in parts), self._catalogue.digest],
            ("corpus/evidence.py", "corpus/telling_grams.py", *_PHRASES),
        )

    def _balance(self, shown: StageResult) -> StageResult:
        recipe = self._recipe
        rcm, qa = recipe.rcm, recipe.qa
        settings: dict[str, Any] = {
            "min_support": rcm.labels.min_support if rcm else 1,
            "max_per_label": recipe.balance.max_per_label,
            "max_per_generator": recipe.balance.max_per_generator,
            "limits": {"rcm": rcm.limit if rcm else None, "qa": qa.limit if qa else None},
        }
        return self._run(
            "balance",
            lambda writer: balance(writer, shown.records(), recipe.seed, **settings),
            settings | {"seed": recipe.seed},
            [shown.digest],
            ("corpus/selection.py",),
        )

    def _split(self, balanced: StageResult) -> StageResult:
        split = self._recipe.split
        return self._run(
            "split",
            lambda writer: split_by_date(writer, balanced.records(), split.cve_development_from, split.object_development_from),
            split.model_dump(mode="json", exclude={"reserved"}),
            [balanced.digest],
            ("corpus/selection.py",),
        )

    def publish(self, final: StageResult) -> BuildReport:
        """Write the files of the corpus, unless they are there already."""
        uses = {source.path: ("learnt", source.licence) for source in self._recipe.sources}
        uses |= {source.path: ("learnt", source.licence) for source in (self._recipe.qa.sources if self._recipe.qa else [])}
        inputs = [
            {"path": path, "sha256": digest, "use": uses.get(path, ("left out",))[0], "licence": uses.get(path, ("", ""))[1]}
            for path, digest in self._digests.items()
        ]
        published = publish(self._out, self._recipe, final, self._done, inputs, self._catalogue, self._watch)
        return BuildReport(self._out, published.records, tuple(self._done), published.written, published.not_written)
