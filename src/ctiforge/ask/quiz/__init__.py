"""The tutor: which questions to ask today, what was answered, and cards for other programs."""

from ctiforge.ask.quiz.cards import CARD_FORMATS, render_cards
from ctiforge.ask.quiz.progress import Progress, Standing
from ctiforge.ask.quiz.session import draw_session

__all__ = ["CARD_FORMATS", "Progress", "Standing", "draw_session", "render_cards"]
