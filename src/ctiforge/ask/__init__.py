"""Asking: a knowledge base over ATT&CK, CAPEC, CWE, CVE and a team's own documents, searched by words and by meaning.

`KnowledgeBase.load` opens one, `build_knowledge_base` makes one, `answer_question` answers from one. The package imports
nothing heavy before either is used.
"""

from ctiforge.ask.answering import Answerer, answer_question
from ctiforge.ask.answers import Answer, AnswerMethod, AnswerSentence, AnswerStatus, Scope
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
    "Answer",
    "AnswerMethod",
    "AnswerSentence",
    "AnswerStatus",
    "Answerer",
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
    "Scope",
    "ScoredOption",
    "ScoredPassage",
    "SourceVersion",
    "answer_choices",
    "answer_question",
    "build_knowledge_base",
]
