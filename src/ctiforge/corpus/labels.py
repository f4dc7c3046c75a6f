"""Which CWE a CVE is labelled with: whose word counts, and what happens to entries that MITRE does not want."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ctiforge.core.advisory import Party
from ctiforge.corpus.cwe_phrases import CwePhrases, TokenizedText
from ctiforge.corpus.recipe import LabelPolicy
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.labelled_cves import is_mappable, order_labels

__all__ = ["Label", "LabelChooser", "NoLabel"]


@dataclass(frozen=True, slots=True)
class Label:
    """The label of a CVE.

    Attributes:
        party: whose it is; `assigned`: what that party wrote, which is `cwe_id` unless the policy replaced it.
        way: the names of what was done to get there, for `CorpusRecord.steps`.
    """

    cwe_id: str
    party: Party
    assigned: str
    way: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoLabel:
    """Why a CVE has no label: a reason's code, and the same for a person."""

    reason: str
    detail: str


class LabelChooser:
    """Applies a `LabelPolicy`."""

    def __init__(self, policy: LabelPolicy, catalogue: CweCatalogue) -> None:
        self._policy = policy
        self._catalogue = catalogue
        self._phrases = CwePhrases(catalogue)

    def choose(self, labels: Mapping[Party, Sequence[str]], text: str) -> Label | NoLabel:
        """Return the label of a CVE with these entries by party and this description."""
        heard = {party: list(labels[party]) for party in self._policy.prefer if labels.get(party)}
        if not heard:
            return NoLabel("no_label", f"none of {', '.join(self._policy.prefer)} assigned a CWE")
        steps: tuple[str, ...] = ()
        if self._policy.consensus != "none":
            shared = self._shared(heard)
            if isinstance(shared, NoLabel):
                return shared
            heard, steps = shared, ("consensus",)
        label = self._as_is(heard) if self._policy.usage == "as-is" else self._allowed(heard, text)
        if isinstance(label, NoLabel):
            return label
        view = self._policy.view
        if view and not self._catalogue.in_view(label.cwe_id, view):
            return NoLabel("not_in_view", f"{label.cwe_id} is no member of {view}")
        return Label(label.cwe_id, label.party, label.assigned, (*steps, *label.way))

    def _shared(self, heard: Mapping[Party, Sequence[str]]) -> dict[Party, list[str]] | NoLabel:
        if len(heard) == 1:
            if self._policy.consensus == "required":
                return NoLabel("one_party_alone", f"{next(iter(heard))} alone labelled it")
            return {party: list(entries) for party, entries in heard.items()}
        entries = iter(heard.values())
        shared = set(next(entries)).intersection(*entries)
        if not shared:
            said = "; ".join(f"{party} {', '.join(each)}" for party, each in heard.items())
            return NoLabel("no_consensus", f"no entry in common: {said}")
        return {party: [each for each in found if each in shared] for party, found in heard.items()}

    def _as_is(self, heard: Mapping[Party, Sequence[str]]) -> Label | NoLabel:
        for party, entries in heard.items():
            usable = [entry for entry in entries if is_mappable(entry, self._catalogue)]
            if usable:
                chosen = order_labels(usable, self._catalogue)[0]
                return Label(chosen, party, chosen, (f"label {party}",))
        return NoLabel("not_mappable", f"{_listed(heard)}: categories, deprecated or Prohibited entries only")

    def _allowed(self, heard: Mapping[Party, Sequence[str]], text: str) -> Label | NoLabel:
        """Take the first suggestable entry of any party; else replace what the most trusted party said."""
        for party, entries in heard.items():
            usable = [entry for entry in entries if self._catalogue.is_suggestable(entry)]
            if usable:
                chosen = order_labels(usable, self._catalogue)[0]
                return Label(chosen, party, chosen, (f"label {party}",))
        if self._policy.replace == "never":
            return NoLabel("usage_not_allowed", f"{_listed(heard)}: MITRE discourages or prohibits mapping to it")
        tokens = TokenizedText(text)
        for party, entries in heard.items():
            for entry in order_labels(entries, self._catalogue):
                if found := self._replacement(entry, tokens):
                    return Label(found, party, entry, (f"label {party}", f"replaced {entry}"))
        detail = f"{_listed(heard)}: not to be mapped to, and the text has the words of no one replacement"
        return NoLabel("no_single_replacement", detail)

    def _replacement(self, cwe_id: str, text: TokenizedText) -> str | None:
        named = self._catalogue.nearest_allowed(cwe_id)
        if len(named) == 1 or (named and self._policy.replace == "first"):
            return named[0]
        scored = sorted(((self._strength(text, other), other) for other in named), reverse=True)
        if not scored or scored[0][0] == 0 or (len(scored) > 1 and scored[0][0] == scored[1][0]):
            return None
        return scored[0][1]

    def _strength(self, text: TokenizedText, cwe_id: str) -> float:
        """Return how plainly a text has the words of an entry: above 1 for a whole name or term, else the share of its name."""
        if span := self._phrases.named(text, cwe_id):
            return 1.0 + span.last - span.first + 1
        shared = self._phrases.shared_words(text, cwe_id)
        return shared[1] if shared and shared[1] >= 0.75 else 0.0


def _listed(heard: Mapping[Party, Sequence[str]]) -> str:
    return ", ".join(dict.fromkeys(entry for entries in heard.values() for entry in entries))
