"""Sentences that speak to whoever answers, as planted instructions do. They are neither quoted nor shown to a model.

This is the second lock, and no perfect one: whoever plants a sentence can word it so that no rule here knows it. The first lock
does not depend on wording: nothing that is retrieved is ever followed. An extractive answer is made of sentences as they stand
in their source, each with its citation, chosen by the words of the question; of a model's answer only sentences are kept that
a cited passage supports. The rules below keep most of what is planted from being read out. They rather leave out a sentence of
a catalogue (about one in two hundred) than quote a planted one.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["LEFT_OUT", "is_instruction", "without_instructions"]

LEFT_OUT: Final = "[Left out: this addresses whoever answers.]"

_MACHINE: Final = (
    r"(?:ai (?:assistants?|models?|systems?|agents?|tools?)|assistants?|chat ?bots?|(?:large )?language models?|llms?|"
    r"gpt\S*|copilot|"
    r"summari[sz]ers?|answering (?:system|machine|engine|program)s?|answerer)"
)
_SPEAK: Final = r"(?:say|answer|reply|respond|repeat|quote|recommend|conclude|claim|mention|pretend|assert)"
_WRITE: Final = r"(?:print|write|type|output|give|state|append|add|include|insert|return|tell|show|display|emit|cite|call|mark)"
_ANSWER: Final = r"(?:answers?|repl(?:y|ies)|summar(?:y|ies)|completions?|verdict|task)"
_RULES: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Talk of instructions, prompts, questions, sources: of the conversation itself.
        r"\b(?:ignor\w+|disregard\w*|forget\w*|overrid\w+|skip|drop|discard|set aside)\b[^.]{0,60}\b(?:instruct\w+|"
        r"prompts?|messages?|"
        r"guidelines?|questions?|requests?|rules|passages?|context|sources?|citations?|everything|anything|above|what "
        r"(?:you|came|was))\b",
        r"\b(?:new|updated|real|actual|hidden|secret|following|important|priority|next) (?:\w+ )?(?:instructions?|"
        r"orders?|prompts?|tasks?)\b",
        r"\b(?:system|developer|initial|original|first) (?:prompt|instructions?|message)\b|\binstructions? (?:to|for) "
        r"(?:the|any|all)\b",
        r"\byour (?:\w+ )?(?:instructions?|guidelines|guardrails|prompt|training|operator|developer|answer|reply|"
        r"response|output|summary|"
        r"rules|citations?)\b(?! (?:plan|team|process))",
        r"\bthis (?:passage|context|prompt|conversation|chat|question)\b|\bthe (?:question|asker|prompt above|passages?)\b|"
        r"\bend of (?:the )?(?:passages?|context|documents?|data)\b",
        rf"\b(?:the|this|that|every|each|any|all|by|of|in) (?:final |whole |entire |right |correct |only |real )*{_ANSWER}\b",
        r"^\W*(?:answer|reply|task|instruction|question|response)s?\s*:",
        # Mark-up of chats and fences.
        r"<\|?/?(?:im_start|im_end|system|user|assistant|endoftext|passages?|context|documents?|data)\|?>|\[/?inst\]|<</?sys>>|"
        r"#{2,4} ?(?:system|instructions?|task)\b|[\"']role[\"']\s*:",
        r"^\W*(?:system|assistant|user|human|developer|admin|operator|model|attention|note to [\w ]+)\s*[:,]",
        # Somebody who answers is addressed.
        rf"\b(?:dear|hey|hello|attention|note to|message to|as an?|if you are an?|for|any|all|every|the) (?:\w+ )?{_MACHINE}\b|"
        rf"^\W*{_MACHINE}\b|\battention,? models?\b|\bas an ai\b",
        r"\byou (?:are|will be) (?:now|no longer|required|asked|told)\b|\byou have been (?:updated|told|asked|"
        r"instructed|given)\b|"
        r"\bfrom now on\b|\b(?:kindly|do as i say|listen carefully)\b|\buser's (?:request|question)\b",
        r"\b(?:whoever|anyone|anybody|everyone|everybody|someone) (?:is |who |that )?(?:\w+ing|reads?|answers?|asks?|"
        r"quer\w+)\b",
        r"\bwhen(?:ever)? (?:you are |you |anyone is |a user is )?ask(?:ed|s)?\b",
        # Orders to speak, or to write something short.
        rf"(?:^\W*|[,:;] |\b(?:and|then|please|now|only|just|always|must|should|shall|also|to) ){_SPEAK}\b(?! (?:to|for) "
        rf"(?:requests?|queries|probes?|incidents?)\b)",
        rf"(?:^\W*|[,:;] |\b(?:and|then|please|now|only|just|always|must|should|shall) ){_WRITE}\b(?: \S+){{1,4}}\W*$",
        rf"(?:^\W*|[,:;] |\b(?:and|then|please|now) ){_WRITE}\b[^.]{{0,30}}(?:\b(?:only|exactly|nothing|verbatim|the "
        rf"(?:words?|text|phrase|string|"
        r"token|line|sentence))\b|[\"'`])",
        r"\b(?:tell|inform|assure|advise|urge) (?:the |every |any |your )?(?:user|reader|asker|analyst|questioner|human|"
        r"person)s?\b|"
        r"\b(?:the|every|any) (?:reader|asker|analyst|questioner)s? (?:must|should|shall|has to|needs to)\b",
        r"\b(?:it is|this is) (?:essential|mandatory|required|crucial|vital) (?:that|to)\b[^.]*\b(?:mention|say|state|"
        r"summary|answer|include)",
    )
)
_TRIGGERS: Final = frozenset(
    "ai assistant assistants chatbot chatbots bot bots llm llms gpt copilot summarizer summariser summarizers answerer "
    "answering "
    "model models instruct instruction instructions prompt prompts order orders message system user user's human "
    "developer admin "
    "operator note attention inst im endoftext you your answer answers answered reply replies respond repeat quote recommend "
    "conclude claim mention pretend assert output print type say write give state append add include insert return "
    "tell show display "
    "emit cite call mark question questions passage passages context document data summary summaries completion "
    "verdict task tasks "
    "asker asked asks ask reads query conversation chat role kindly listen whoever anyone anybody everyone everybody "
    "someone inform "
    "assure advise urge reader readers analyst analysts essential mandatory now response above".split()
)
"""No rule matches a sentence with none of these words; looking for words is much quicker than looking for rules."""

_WORD = re.compile(r"[a-z']+")


def is_instruction(sentence: str) -> bool:
    """Say whether a sentence speaks to whoever answers."""
    return not _TRIGGERS.isdisjoint(_WORD.findall(sentence.lower())) and any(rule.search(sentence) for rule in _RULES)


def without_instructions(sentences: list[str]) -> list[str]:
    """Return the sentences with `LEFT_OUT` in the place of each that speaks to whoever answers."""
    return [LEFT_OUT if is_instruction(sentence) else sentence for sentence in sentences]
