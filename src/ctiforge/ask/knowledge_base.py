"""`KnowledgeBase`: objects by identifier, their neighbours, and passages found by words and by meaning."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctiforge.ask.fusion import fuse
from ctiforge.ask.graph import check_relation
from ctiforge.ask.layout import Layout, Manifest, read_manifest
from ctiforge.ask.lexical import LexicalIndex
from ctiforge.ask.lookup import Lookup, fold_name
from ctiforge.ask.objects import KnowledgeObject, ObjectKind, Passage, Relation, ScoredPassage, SourceVersion
from ctiforge.ask.records import RecordFile
from ctiforge.ask.terms import find_ids, search_terms
from ctiforge.ask.vectors import VectorTable
from ctiforge.core.errors import CatalogueError, CtiforgeError, InputError, SettingError, did_you_mean
from ctiforge.models.sentence_encoder import SentenceEncoder

__all__ = ["MAX_QUERY_CHARACTERS", "KnowledgeBase"]

Floats = npt.NDArray[np.float32]

MAX_QUERY_CHARACTERS: Final = 20_000
"""A longer query is no question; it is refused rather than cut in silence."""

_CACHED_OBJECTS: Final = 4096


class KnowledgeBase:
    """One build of a knowledge base, read only; safe to share between threads. Make it with `load`.

    Attributes:
        root: its folder.
        manifest: what the build says about itself.
    """

    def __init__(self, root: Path, manifest: Manifest, *, embeddings: bool, threads: int) -> None:
        folder = Layout(root).build(manifest.build)
        for name, facts in manifest.files.items():
            if not (folder / name).is_file() or (folder / name).stat().st_size != facts["bytes"]:
                raise FileNotFoundError(str(folder / name))
        self.root, self.manifest = root, manifest
        self._lookup = Lookup.load(folder)
        self._objects = RecordFile(folder / "objects.jsonl")
        self._passages = RecordFile(folder / "passages.jsonl")
        self._lexical = LexicalIndex(folder / "bm25", len(self._passages))
        self._vectors: VectorTable | None = None
        self._encoder: SentenceEncoder | None = None
        self._note = manifest.note
        if manifest.encoder and embeddings:
            self._load_encoder(folder, manifest, threads)
        elif manifest.encoder:
            self._note = "embeddings were left out on request"
        self._read_cached = lru_cache(maxsize=_CACHED_OBJECTS)(self._read_object)
        self._rows_of_passages: dict[str, int] | None = None
        self._lock = threading.Lock()

    def _load_encoder(self, folder: Path, manifest: Manifest, threads: int) -> None:
        try:
            self._encoder = SentenceEncoder(Layout(self.root).encoder(manifest.encoder), threads=threads)
        except CtiforgeError as error:
            self._note = f"searched by words only: {error.message}"
            return
        values, scales = (np.load(folder / f"vectors.{name}.npy", allow_pickle=False) for name in ("values", "scales"))
        self._vectors = VectorTable(values, scales)

    @classmethod
    def load(cls, folder: str | Path, *, embeddings: bool = True, threads: int = 0) -> KnowledgeBase:
        """Open the knowledge base in `folder`; nothing is written to it.

        Args:
            embeddings: False searches by words alone, which needs no onnxruntime.
            threads: for embedding a query; 0 lets onnxruntime choose.

        Raises:
            InputError: there is none, it is damaged, or its format is not this program's.
        """
        root = Path(folder)
        for attempt in (1, 2):
            manifest = read_manifest(root)
            try:
                return cls(root, manifest, embeddings=embeddings, threads=threads)
            except (OSError, ValueError, KeyError, TypeError) as error:
                if attempt == 2:  # the first time, a build may just have taken the place of another
                    raise InputError(
                        f"{root}: the knowledge base is damaged: {error}",
                        fix=f"build it again: ctiforge kb build ... --out {root}",
                    ) from None
        raise AssertionError("unreachable")

    # What it is made of.

    @property
    def versions(self) -> tuple[SourceVersion, ...]:
        """Where the texts come from, with release and SHA-256; belongs into every answer."""
        return self.manifest.sources

    @property
    def has_embeddings(self) -> bool:
        """Whether passages are also found by meaning."""
        return self._vectors is not None

    @property
    def note(self) -> str:
        """Why passages are found by words only; empty where they are not."""
        return self._note

    # Objects.

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[KnowledgeObject]:
        return (self._read_object(row) for row in range(len(self._objects)))

    def __contains__(self, object_id: object) -> bool:
        return object_id in self._lookup.row_of

    @property
    def ids(self) -> Iterable[str]:
        """Identifiers of all objects, sources in the order ATT&CK, CAPEC, CWE, CVE, documents."""
        return self._lookup.row_of.keys()

    @property
    def redirects(self) -> Mapping[str, str]:
        """Identifiers that their source withdrew to those of their successors."""
        return self._lookup.redirects

    def resolve(self, text: str) -> str | None:
        """Return the identifier of the object that `text` names, or None.

        An identifier in any spelling (``cwe 79``, ``T1548/002``) comes before a name or alias; one that was revoked gives its
        successor; a name that several objects have gives none, see `named`.
        """
        text = text.strip()
        candidates = [text, *(found for found in find_ids(text) if _same_spelling(found, text))]
        for candidate in candidates:
            current = self._lookup.redirects.get(candidate, candidate)
            if current in self._lookup.row_of:
                return current
        named = self.named(text)
        return named[0] if len(named) == 1 else None

    def named(self, name: str) -> tuple[str, ...]:
        """Return identifiers of all objects with exactly this name or alias; case and hyphens do not count."""
        return tuple(self._lookup.names.get(fold_name(name), ()))

    def get(self, object_id: str) -> KnowledgeObject | None:
        """Return the object with this identifier or, if it was revoked, its successor (whose ``id`` is another); else None."""
        row = self._lookup.row_of.get(self._lookup.redirects.get(object_id, object_id))
        return None if row is None else self._read_cached(row)

    @property
    def names(self) -> Mapping[str, Sequence[str]]:
        """Every name and alias, in lower case without hyphens, to the identifiers of the objects that have it."""
        return self._lookup.names

    @property
    def platforms(self) -> Iterable[str]:
        """Every platform that an object has, in lower case without hyphens."""
        return self._lookup.platforms.keys()

    @property
    def tactics(self) -> Iterable[str]:
        """The name of every tactic, in lower case without hyphens."""
        return self._lookup.tactics.keys()

    def __getitem__(self, object_id: str) -> KnowledgeObject:
        """Return what `get` does.

        Raises:
            CatalogueError: there is no such object; says whether it was withdrawn, or what was meant.
        """
        if (found := self.get(object_id)) is not None:
            return found
        if object_id in self._lookup.withdrawn:
            raise CatalogueError(f"{object_id} was deprecated by its source and has no successor", fix="ask for another object")
        guess = did_you_mean(object_id, self._lookup.row_of) or f"find objects by their words: ctiforge kb search {object_id!r}"
        raise CatalogueError(f"the knowledge base has no object {object_id!r}", fix=guess)

    def neighbours(self, object_id: str, relation: str | None = None) -> tuple[Relation, ...]:
        """Return the relations of an object, seen from it; with `relation` only those of this name.

        The object at the other end may be unknown here (a CVE that no feed gave): then its name is empty.

        Raises:
            CatalogueError: there is no such object.
            SettingError: no relation has that name, see `ctiforge.ask.graph.RELATIONS`.
        """
        relations = self[object_id].relations
        if relation is None:
            return relations
        check_relation(relation)
        return tuple(each for each in relations if each.kind == relation)

    def _read_object(self, row: int) -> KnowledgeObject:
        fields: dict[str, Any] = self._objects[row]
        for name in ("aliases", "platforms", "tactics", "domains"):
            fields[name] = tuple(fields[name])
        fields["facts"] = tuple(map(tuple, fields["facts"]))
        fields["relations"] = tuple(Relation(**each) for each in fields["relations"])
        return KnowledgeObject(**fields)

    # Passages.

    def _passage(self, row: int) -> Passage:
        fields = self._passages[row]
        return Passage(**{**fields, "related": tuple(fields["related"])})

    def passages_of(self, object_id: str) -> tuple[Passage, ...]:
        """Return the passages of an object in their order; unknown identifiers have none."""
        return tuple(map(self._passage, self.rows_of(object_id)))

    def passage(self, passage_id: str) -> Passage | None:
        """Return one passage by its identifier, or None."""
        owner = passage_id.rpartition("#")[0]
        return next((each for each in self.passages_of(owner) if each.id == passage_id), None)

    # Scores of all passages at once, for those who rank in a way of their own.

    @property
    def owners(self) -> npt.NDArray[np.int32]:
        """Row of the object that each passage stands with, shape (passages,)."""
        return self._lookup.object_row

    def passage_at(self, row: int) -> Passage:
        """Return the passage of a row, 0 to `passages` - 1."""
        return self._passage(row)

    def rows_of(self, object_id: str) -> range:
        """Return the rows of an object's passages; unknown identifiers have none."""
        row = self._lookup.row_of.get(self._lookup.redirects.get(object_id, object_id))
        first = self._lookup.first_passage
        return range(0) if row is None else range(int(first[row]), int(first[row + 1]))

    def rows_of_kinds(self, kinds: Iterable[ObjectKind]) -> npt.NDArray[np.bool_]:
        """Return which passages stand with objects of these kinds, shape (passages,)."""
        mask = self._lookup.mask(kinds, None, None, None)
        assert mask is not None
        return mask

    def bm25(self, terms: Sequence[str]) -> Floats:
        """Return the BM25 score of every passage for search terms, shape (passages,)."""
        return self._lexical.scores(terms)

    def rarity(self, terms: Iterable[str]) -> dict[str, float]:
        """Return the inverse document frequency of search terms, as BM25 counts it; a term in no passage is the rarest."""
        return {term: self._lexical.rarity(term) for term in terms}

    def encode(self, texts: Sequence[str]) -> Floats | None:
        """Return unit vectors of texts, shape (texts, dimensions), or None without embeddings."""
        return self._encoder.encode(texts) if self._encoder is not None and self._vectors is not None else None

    def cosines(self, vectors: Floats, rows: npt.NDArray[np.intp]) -> Floats:
        """Return the cosines of `vectors` (see `encode`) with the passages of `rows`, shape (vectors, rows)."""
        assert self._vectors is not None
        return self._vectors.cosines_of(vectors, rows)

    def search(
        self,
        query: str,
        top_k: int = 10,
        *,
        kinds: Iterable[ObjectKind] | None = None,
        platform: str | None = None,
        tactic: str | None = None,
        before: str | None = None,
        per_object: int = 0,
    ) -> list[ScoredPassage]:
        """Return the passages that fit a question best, best first; none where no word is known and there are no embeddings.

        Args:
            query: up to `MAX_QUERY_CHARACTERS`.
            kinds: of the objects that passages stand with; platform, tactic: that these objects have. A tactic may also be
                given as ``TA0005`` or ``defense-evasion``.
            before: ISO 8601 day: only passages about objects that existed before it. Texts are those of today's release all the
                same, and objects without a day are left out.
            per_object: most passages of one object; 0 sets no limit.

        Raises:
            SettingError: the query is empty, has no word, or is too long; a filter has an unknown value.
        """
        return self.search_many(
            [query], top_k, kinds=kinds, platform=platform, tactic=tactic, before=before, per_object=per_object
        )[0]

    def search_many(
        self,
        queries: Sequence[str],
        top_k: int = 10,
        *,
        kinds: Iterable[ObjectKind] | None = None,
        platform: str | None = None,
        tactic: str | None = None,
        before: str | None = None,
        per_object: int = 0,
    ) -> list[list[ScoredPassage]]:
        """Return what `search` does for each query; embedding them together is quicker than one by one."""
        if top_k < 1:
            raise SettingError(f"top_k is {top_k}", fix="ask for at least one passage")
        terms = [_checked_terms(query) for query in queries]
        mask = self._lookup.mask(kinds, platform, self.tactic_name(tactic), before)
        vectors = self._encoder.encode(queries) if self._encoder is not None and self._vectors is not None else None
        return [
            self._ranked(query, terms[i], None if vectors is None else vectors[i], mask, top_k, per_object)
            for i, query in enumerate(queries)
        ]

    def tactic_name(self, tactic: str | None) -> str | None:
        """Return the name of a tactic that is given by its identifier; anything else as it is."""
        known = None if tactic is None else self.get(tactic.upper())
        return known.name if known is not None and known.kind == "tactic" else tactic

    def check_filters(
        self, kinds: Iterable[ObjectKind] | None, platform: str | None, tactic: str | None, before: str | None
    ) -> None:
        """Do nothing where `search` would take these filters.

        Raises:
            SettingError: a filter has an unknown value.
        """
        self._lookup.mask(kinds, platform, self.tactic_name(tactic), before)

    def term_weights(self, terms: Iterable[str]) -> dict[str, float]:
        """Return how much each search term tells: its inverse document frequency, highest where no passage has it."""
        return {term: self._lexical.weight(term) for term in terms}

    def _ranked(
        self,
        query: str,
        terms: Sequence[str],
        vector: Floats | None,
        mask: npt.NDArray[np.bool_] | None,
        top_k: int,
        per_object: int,
    ) -> list[ScoredPassage]:
        bm25 = self._lexical.scores(terms)
        cosines = self._vectors.cosines(vector) if self._vectors is not None and vector is not None else None
        ids = find_ids(query)
        named = [
            np.arange(self._lookup.first_passage[row], self._lookup.first_passage[row + 1])
            for each in ids
            if (row := self._lookup.row_of.get(self._lookup.redirects.get(each, each))) is not None
        ]
        alone = set(terms) <= {each.casefold() for each in ids}
        found: list[ScoredPassage] = []
        taken: dict[int, int] = {}
        for row, score in fuse(bm25, cosines, named, mask, top_k, deep=per_object > 0, named_alone=alone):
            owner = int(self._lookup.object_row[row])
            taken[owner] = taken.get(owner, 0) + 1
            if not per_object or taken[owner] <= per_object:
                cosine = None if cosines is None else float(cosines[row])
                found.append(ScoredPassage(self._passage(row), score, float(bm25[row]), cosine))
                if len(found) == top_k:
                    break
        return found


def _same_spelling(object_id: str, text: str) -> bool:
    """Say whether `text` is this identifier and nothing else: the same letters, and the same digits but for leading zeros."""
    plain = [re.sub(r"[^A-Z0-9]|(?<![0-9])0+(?=[0-9])", "", each.upper()) for each in (object_id, text)]
    return plain[0] == plain[1]


def _checked_terms(query: str) -> list[str]:
    if len(query) > MAX_QUERY_CHARACTERS:
        raise SettingError(
            f"the query has {len(query):,} characters, more than the {MAX_QUERY_CHARACTERS:,} that are searched for",
            fix="ask in fewer words, or search for parts of it",
        )
    if not query.strip():
        raise SettingError("the query is empty", fix="say what to search for, e.g. 'LSASS memory'")
    if not any(character.isalnum() for character in query):
        raise SettingError(f"the query {query.strip()[:40]!r} has no word in it", fix="say what to search for in words")
    return search_terms(query)
