"""Threat actors under their many names: an alias table from ATT&CK, and a judge that uses it."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ctiforge.bench.task import Judgement, Sample
from ctiforge.core.errors import InputError
from ctiforge.sources.compression import Expansion, StreamError, decompress, detect_compression

__all__ = ["ActorAliases", "actor_key", "judge_actor", "load_aliases"]

_MAX_BYTES = 2**30
_WORD = re.compile(r"\w+")
_KIND_OF_ACTOR = frozenset({"gang", "group", "team"})
_ALTERNATIVE = re.compile(r"[;|]")


def actor_key(name: str) -> str:
    """Return `name` without what writers vary: case, width, spaces and punctuation, a leading 'the', a final 'group', 'team'
    or 'gang'. ``APT 28`` and ``APT28`` are one name, ``Lazarus`` and ``the Lazarus Group`` too.
    """
    words = _WORD.findall(unicodedata.normalize("NFKC", name).casefold().replace("_", " "))
    if len(words) > 1 and words[0] == "the":
        del words[0]
    if len(words) > 1 and words[-1] in _KIND_OF_ACTOR:
        del words[-1]
    return "".join(words)


@dataclass(frozen=True, slots=True)
class ActorAliases:
    """Which names stand for which actors; without any, a name stands for itself only.

    Attributes:
        actors_by_name: by `actor_key` of a name, the actors that go by it (two actors share a few names in ATT&CK).
    """

    actors_by_name: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def same(self, one: str, other: str) -> bool:
        """Return whether both names can mean the same actor.

        Two names match if they are spelt alike or if one actor has both; it is not enough that a third name links them, so
        that actors which share an alias stay apart.
        """
        first, second = actor_key(one), actor_key(other)
        if not first or not second:
            return False
        nobody: frozenset[str] = frozenset()
        return first == second or bool(self.actors_by_name.get(first, nobody) & self.actors_by_name.get(second, nobody))


def judge_actor(aliases: ActorAliases) -> Callable[[str, Sample], Judgement]:
    """Return a judge of actor names: right if the answer can mean the target, or one of several cut by ``;`` or ``|``."""

    def judge(answer: str, sample: Sample) -> Judgement:
        correct = any(aliases.same(answer, gold) for gold in _ALTERNATIVE.split(sample.target))
        return Judgement(correct, float(correct))

    return judge


def load_aliases(path: Path) -> ActorAliases:
    """Read names and aliases of the intrusion sets in an ATT&CK STIX bundle, such as ``enterprise-attack.json``, plain or
    compressed (gzip, xz, bzip2, zstd).

    A revoked set's names count as names of the set that it was revoked by.

    Raises:
        InputError: the file cannot be read, is no STIX bundle, or has no intrusion sets.
    """
    bundle = _read_bundle(path)
    objects = [item for item in bundle if isinstance(item, dict)]
    successor = {
        item.get("source_ref"): item.get("target_ref")
        for item in objects
        if item.get("type") == "relationship" and item.get("relationship_type") == "revoked-by"
    }
    actors: defaultdict[str, set[str]] = defaultdict(set)
    for item in objects:
        if item.get("type") == "intrusion-set":
            actor = _last_successor(str(item.get("id")), successor)
            for name in _names(item):
                if key := actor_key(name):
                    actors[key].add(actor)
    if not actors:
        raise _no_bundle(path, "no intrusion sets in it")
    return ActorAliases({name: frozenset(ids) for name, ids in actors.items()})


def _names(intrusion_set: dict[str, Any]) -> Iterable[str]:
    aliases = intrusion_set.get("aliases")
    names = [intrusion_set.get("name"), *(aliases if isinstance(aliases, list) else ())]
    return [name for name in names if isinstance(name, str)]


def _last_successor(actor: str, successor: Mapping[Any, Any]) -> str:
    seen = {actor}
    while isinstance(following := successor.get(actor), str) and following not in seen:
        seen.add(following)
        actor = following
    return actor


def _read_bundle(path: Path) -> list[Any]:
    try:
        data = path.read_bytes()
        kind = detect_compression(data[:16])
        if kind == "zip":
            raise _no_bundle(path, "a zip archive")
        if kind is not None:
            data = b"".join(decompress([data], kind, Expansion(_MAX_BYTES, compressed=len(data))))
        bundle = orjson.loads(data)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", fix="name a file that can be read") from None
    except StreamError as error:
        raise _no_bundle(path, error.detail) from None
    except orjson.JSONDecodeError as error:
        raise _no_bundle(path, f"not JSON: {error.msg}") from None
    objects = bundle.get("objects") if isinstance(bundle, dict) else None
    if not isinstance(objects, list):
        raise _no_bundle(path, "no STIX bundle")
    return objects


def _no_bundle(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: {reason}", fix="give ATT&CK's STIX bundle, such as enterprise-attack.json")
