"""Protocols: frozen, versioned settings under which models are compared, each with a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import orjson

from ctiforge.bench.task import AnswerKind
from ctiforge.core.errors import SettingError, did_you_mean

__all__ = ["PROTOCOLS", "Protocol", "customize", "find_protocol"]

Style = Literal["chat", "completion", "choice_logprob"]
"""``chat``: the dataset's own prompt as the only user message. ``completion``: text to be continued after ``Answer:``, behind
solved examples. ``choice_logprob``: as ``chat``, but the answer is the option letter with the highest log-probability."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """Everything that decides what is asked and how an answer is read, apart from model and data.

    Attributes:
        shots: solved examples before the question: other items of the same file, chosen by `seed`.
        max_tokens: tokens of a completion at most.
        trials: passes over all items, each with seeds of its own.
        concurrency: requests in flight at most.
        stop: sequences that end a completion.
        rules: extraction rule by kind of answer, where it is not the task's own.
        drop_duplicates: whether items with a question seen before are left out.
        permute: ``cyclic`` asks every multiple-choice item once for each rotation of its options.
        seed: from which the seed of every request follows.
        custom: True once a setting was changed on the command line.
        source: where the settings come from.
    """

    name: str
    version: int
    description: str
    source: str
    style: Style = "chat"
    shots: int = 0
    temperature: float = 0.0
    max_tokens: int = 512
    trials: int = 1
    concurrency: int = 32
    stop: tuple[str, ...] = ()
    rules: Mapping[AnswerKind, str] = field(default_factory=dict)
    drop_duplicates: bool = False
    permute: Literal["none", "cyclic"] = "none"
    seed: int = 42
    custom: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that decide a result, as JSON values."""
        described = ("name", "version", "description", "source", "custom")
        return {name: value for name, value in asdict(self).items() if name not in described} | {"stop": list(self.stop)}

    @property
    def digest(self) -> str:
        """SHA-256 over name, version and settings."""
        identity = {"name": self.name, "version": self.version, "custom": self.custom, "settings": self.settings}
        return hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def rule_for(self, kind: AnswerKind, default: str) -> str:
        """Return the extraction rule for a kind of answer."""
        return self.rules.get(kind, default)

    def request_seed(self, sample_id: str, trial: int, permutation: int = 0) -> int:
        """Return the seed of one request, 0 to 2**31 - 1: the same for the same item, trial and rotation, on any machine."""
        text = f"{self.seed}/{trial}/{permutation}/{sample_id}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


_FOUNDATION_SEC = "Foundation-Sec-8B report, arXiv 2504.21039, appendix B.3-B.4"

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "foundation-sec-ift",
            1,
            "Instruction-tuned models: zero-shot, the dataset's own prompt as the only user message, five trials.",
            _FOUNDATION_SEC,
            temperature=0.3,
            trials=5,
        ),
        Protocol(
            "foundation-sec-base",
            1,
            "Base models: five solved examples, then the question up to 'Answer:', five trials.",
            _FOUNDATION_SEC,
            style="completion",
            shots=5,
            temperature=0.3,
            trials=5,
            stop=("\n\n", "\nQuestion:", "\nDescription:"),
        ),
        Protocol(
            "greedy",
            1,
            "One trial at temperature 0, for quick and repeatable looks.",
            "ctiforge",
        ),
        Protocol(
            "faith",
            1,
            "As foundation-sec-ift, but naming two different CWEs or letters is no answer, and repeated items are dropped.",
            "FAITH, the evaluation harness published with Foundation-Sec",
            temperature=0.3,
            trials=5,
            rules={"cwe": "unique-cwe", "choice": "unique-letter"},
            drop_duplicates=True,
        ),
        Protocol(
            "choice-logprob",
            1,
            "Multiple choice by the log-probability of each option's letter; one trial, nothing to parse.",
            "as in EleutherAI's lm-evaluation-harness, output type multiple_choice",
            style="choice_logprob",
            max_tokens=1,
        ),
    )
}


def find_protocol(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        SettingError: there is none of that name.
    """
    try:
        return PROTOCOLS[name]
    except KeyError:
        hint = did_you_mean(name, PROTOCOLS) or f"protocols: {', '.join(PROTOCOLS)}"
        raise SettingError(f"no protocol named {name!r}", fix=hint) from None


def customize(protocol: Protocol, changes: Mapping[str, Any]) -> Protocol:
    """Return the protocol with some settings changed, marked ``custom`` if any of them differs.

    Raises:
        SettingError: a value is out of range.
    """
    known = {each.name for each in fields(protocol)}
    differing = {name: value for name, value in changes.items() if value is not None and value != getattr(protocol, name)}
    assert set(differing) <= known
    for name, least in {"trials": 1, "max_tokens": 1, "concurrency": 1, "shots": 0, "temperature": 0}.items():
        if differing.get(name, least) < least:
            raise SettingError(f"{name} is {differing[name]}", fix=f"{least} or more")
    return replace(protocol, **differing, custom=True) if differing else protocol
