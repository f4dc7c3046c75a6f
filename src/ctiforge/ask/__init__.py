"""Asking: a knowledge base over ATT&CK, CAPEC, CWE, CVE and a team's own documents, searched by words and by meaning.

`KnowledgeBase.load` opens one, `build_knowledge_base` makes one. The package imports nothing heavy before either is used.
"""

from ctiforge.ask.build import BuildEvent, BuildReport, build_knowledge_base
from ctiforge.ask.choices import ChoiceAnswer, ChoiceAnswerer, ScoredOption, answer_choices
from ctiforge.ask.graph import RELATIONS
from ctiforge.ask.knowledge_base import MAX_QUERY_CHARACTERS, KnowledgeBase
from ctiforge.ask.objects import (
    OBJECT_KINDS,
    KnowledgeObject,
    ObjectKind,
    Passage,
    PassageKind,
    Relation,
    ScoredPassage,
    SourceVersion,
)
from ctiforge.ask.reading import BuildInputs

__all__ = [
    "MAX_QUERY_CHARACTERS",
    "OBJECT_KINDS",
    "RELATIONS",
    "BuildEvent",
    "BuildInputs",
    "BuildReport",
    "ChoiceAnswer",
    "ChoiceAnswerer",
    "KnowledgeBase",
    "KnowledgeObject",
    "ObjectKind",
    "Passage",
    "PassageKind",
    "Relation",
    "ScoredOption",
    "ScoredPassage",
    "SourceVersion",
    "answer_choices",
    "build_knowledge_base",
]
