"""The one form in which texts are compared: what a disguise changes without changing the words is taken away.

`fold_characters` undoes HTML entities, Unicode compatibility forms (NFKD, UAX #15), accents, invisible characters and letters
that look like Latin ones (after the idea of UTS #39, confusable detection). `normalize` then leaves words between spaces.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

__all__ = ["exact_key", "fold_characters", "normalize"]

# Letters of other alphabets, and Latin letters of other forms, that a reader takes for the Latin letter under them.
_LOOKS_LIKE: Final = {
    "a": "аαɑᴀ", "b": "вβʙƅɓ", "c": "сϲᴄƈ", "d": "ԁᴅɗđ", "e": "еεєᴇɛ", "f": "ғƒꜰ", "g": "ɡԍɢğ", "h": "һнʜħ",
    "i": "іιıɩɪ", "j": "јʝᴊϳ", "k": "кκᴋƙ", "l": "ӏʟłⱡ", "m": "мᴍ", "n": "ոηɴɲ", "o": "оοσօᴏøɵ", "p": "рρᴘþ",
    "q": "ԛգʠ", "r": "гʀɾɼ", "s": "ѕꜱʂ", "t": "тτᴛŧ", "u": "υսᴜʋцџ", "v": "νѵᴠ", "w": "ԝωᴡա", "x": "хχᵡ",
    "y": "уγʏƴ", "z": "ᴢʐƶζ",
}  # fmt: skip
_LATIN: Final = {
    **{ord(other): latin for latin, others in _LOOKS_LIKE.items() for other in others},
    **{
        ord(other.upper()): latin.upper()
        for latin, others in _LOOKS_LIKE.items()
        for other in others
        if len(other.upper()) == 1
    },
}
_INVISIBLE_OR_ACCENT: Final = frozenset(("Cf", "Mn", "Me", "Cc"))
_APOSTROPHES: Final = re.compile(r"(?<=\w)['`´‘’ʼ](?=\w)")
_NOT_WORD: Final = re.compile(r"[\W_]+")
_MAX_ENTITY_LAYERS = 3


def fold_characters(text: str) -> str:
    """Return `text` with each character as the plain one that a reader sees; case, punctuation and spaces stay."""
    if "&" in text:
        for _ in range(_MAX_ENTITY_LAYERS):
            unescaped = html.unescape(text)
            if unescaped == text:
                break
            text = unescaped
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text.translate(_LATIN))
    seen = "".join(
        character
        for character in decomposed
        if character.isascii() or unicodedata.category(character) not in _INVISIBLE_OR_ACCENT
    )
    return seen.translate(_LATIN)


def normalize(text: str) -> str:
    """Return the words of `text`, folded, in lower case, between single spaces; all but letters and digits is a border."""
    folded = fold_characters(text)
    if "'" in folded or not folded.isascii() or "`" in folded:
        folded = _APOSTROPHES.sub("", folded)
    return _NOT_WORD.sub(" ", folded.casefold()).strip()


def exact_key(normalized: str) -> str:
    """Return what is equal for equal texts, wherever spaces and punctuation stood: a normalised text without its spaces."""
    return normalized.replace(" ", "")
