"""The settings that a store works by: weights, clocks, four eyes, thresholds. YAML in, kept in the store as JSON."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field
from sqlalchemy import Connection, select

from ctiforge.recipes.reading import StrictModel, load_recipe_file
from ctiforge.triage.schema import settings

__all__ = ["DriftThresholds", "SlaDays", "SsvcValues", "TriageRules", "Weights", "load_rules", "rules_in_force"]

_NAME = "rules"


class Weights(StrictModel):
    """Points of each term of the priority."""

    kev: float = Field(default=40, ge=0)
    ssvc: float = Field(default=25, ge=0)
    epss: float = Field(default=15, ge=0)
    cvss: float = Field(default=10, ge=0)
    uncertainty: float = Field(default=5, ge=0)
    age: float = Field(default=5, ge=0)


class SsvcValues(StrictModel):
    """Value of each SSVC decision, 0 to 1."""

    act: float = Field(default=1.0, ge=0, le=1)
    attend: float = Field(default=0.7, ge=0, le=1)
    track_star: float = Field(default=0.35, ge=0, le=1, alias="track*")
    track: float = Field(default=0.0, ge=0, le=1)

    def of(self, decision: str) -> float:
        """Return the value of a decision; 0 for none."""
        return float(getattr(self, decision.replace("*", "_star"))) if decision else 0.0


class SlaDays(StrictModel):
    """Days until a decision is due."""

    kev: int = Field(default=2, ge=1)
    act: int = Field(default=3, ge=1)
    attend: int = Field(default=14, ge=1)
    track_star: int = Field(default=30, ge=1, alias="track*")
    track: int = Field(default=90, ge=1)
    unknown: int = Field(default=30, ge=1)

    def of(self, decision: str, *, in_kev: bool) -> int:
        """Return the days for an item: the shorter one of its SSVC decision and, if it is listed, of KEV."""
        days = int(getattr(self, decision.replace("*", "_star") or "unknown"))
        return min(days, self.kev) if in_kev else days


class DriftThresholds(StrictModel):
    """Beyond which a measure alarms; see `ctiforge.triage.drift_measures`."""

    label_psi: float = Field(default=0.2, gt=0)
    confidence_psi: float = Field(default=0.2, gt=0)
    text_shift: float = Field(default=0.1, gt=0)
    abstention: float = Field(default=0.1, gt=0)
    override: float = Field(default=0.15, gt=0)
    min_items: int = Field(default=50, ge=2)


class TriageRules(StrictModel):
    """All settings; the file `ctiforge/recipes/triage-default.yaml` explains each."""

    weights: Weights = Weights()
    age_full_days: int = Field(default=30, ge=1)
    ssvc_values: SsvcValues = SsvcValues()
    mission_impact: Literal["low", "medium", "high"] = "medium"
    sla_days: SlaDays = SlaDays()
    four_eyes: bool = False
    bulk_min_probability: float = Field(default=0.9, gt=0, le=1)
    drift: DriftThresholds = DriftThresholds()


def load_rules(name_or_path: str | os.PathLike[str]) -> TriageRules:
    """Read settings from YAML, by bundled name or path.

    Raises:
        RecipeError: the file cannot be read, or has faults, all of which are in the message.
    """
    return load_recipe_file(name_or_path, "triage", TriageRules)


def rules_in_force(connection: Connection) -> TriageRules:
    """Return what the store works by; the defaults if nobody has changed them."""
    found = connection.execute(select(settings.c.value).where(settings.c.name == _NAME)).scalar_one_or_none()
    return TriageRules() if found is None else TriageRules.model_validate_json(found)
