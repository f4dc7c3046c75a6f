"""Questions made from a knowledge base: what the reader learns from and what `ctiforge quiz` asks."""

from ctiforge.ask.questions.generate import generate_questions
from ctiforge.ask.questions.question import LEVELS, TOPICS, Question
from ctiforge.ask.questions.thesaurus import build_thesaurus

__all__ = ["LEVELS", "TOPICS", "Question", "build_thesaurus", "generate_questions"]
