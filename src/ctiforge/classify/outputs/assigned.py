"""What the record's own parties assigned, compared with the suggestion; shown beside it, never merged into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ctiforge.classify.outputs.plain_text import one_line
from ctiforge.classify.prediction import Prediction
from ctiforge.core.advisory import Party

__all__ = ["PARTY_NAMES", "AssignedView", "Verdict", "compare_assigned"]

Verdict = Literal["agrees", "ranked", "differs", "words_only", "not_compared"]
"""``ranked``: the party's CWE is among the candidates, but not first. ``words_only``: no CWE number to compare.
``not_compared``: the classifier abstained."""

PARTY_NAMES: dict[Party, str] = {
    "cna": "CNA",
    "adp": "ADP",
    "nvd": "NVD",
    "ghsa": "GitHub",
    "osv": "OSV",
    "csaf": "CSAF",
    "kev": "KEV",
    "user": "your file",
}


@dataclass(frozen=True, slots=True)
class AssignedView:
    """One party's assignment.

    Attributes:
        label: what the party wrote: its CWE IDs, or its words where it gave no number; one line.
        verdict: how the first suggestion compares.
        rank: 1-based place of the party's best CWE among the suggestions; 0 if it is not there.
    """

    party: Party
    label: str
    verdict: Verdict
    rank: int = 0

    @property
    def name(self) -> str:
        """The party's name for people."""
        return PARTY_NAMES[self.party]

    @property
    def comment(self) -> str:
        """The verdict in a word or two."""
        return {
            "agrees": "agrees",
            "ranked": f"ranked {self.rank}",
            "differs": "differs",
            "words_only": "no CWE number",
            "not_compared": "",
        }[self.verdict]


def compare_assigned(prediction: Prediction) -> tuple[AssignedView, ...]:
    """Return one view a party, in the order in which the record names them."""
    if prediction.advisory is None:
        return ()
    ranks = {each.cwe_id: rank for rank, each in reversed(list(enumerate(prediction.suggestions, start=1)))}
    views = []
    for party in dict.fromkeys(each.party for each in prediction.advisory.weaknesses):
        cwe_ids = prediction.advisory.cwe_ids(party)
        if not cwe_ids:
            words = next((each.text for each in prediction.advisory.weaknesses if each.party == party and each.text), "")
            if words:
                views.append(AssignedView(party, f"“{one_line(words, 60)}”", "words_only"))
            continue
        rank = min((ranks[each] for each in cwe_ids if each in ranks), default=0)
        verdict: Verdict = "agrees" if rank == 1 else "ranked" if rank else "differs"
        views.append(AssignedView(party, ", ".join(cwe_ids), "not_compared" if prediction.abstained else verdict, rank))
    return tuple(views)
