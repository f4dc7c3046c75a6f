"""Dashboards: what waits and what was done, how people and model agree, whether the feed still is what it was."""

from __future__ import annotations

import threading
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ctiforge.classify.classifier import DEFAULT_MODEL
from ctiforge.core.errors import CtiforgeError, SettingError
from ctiforge.serve.pages.charts import CHART, calibration_marks, day_bars, drift_panels
from ctiforge.serve.pages.sessions import Session
from ctiforge.serve.pages.site import Site
from ctiforge.triage import DriftReport, drift, history, measure_performance
from ctiforge.triage.drift import EVERY
from ctiforge.triage.drift_texts import TextShifts
from ctiforge.triage.statistics import store_statistics
from ctiforge.triage.values import WAITING

__all__ = ["DAY_CHOICES", "Dashboards"]

DAY_CHOICES: Final = (14, 30, 90)
_BY: Final = {"published": "day of publication", "first_seen": "day of import"}


class Dashboards:
    """Two pages: work and agreement, counted at once; drift, which takes a while and is kept until the store changes."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], tuple[int, DriftReport]] = {}
        self._texts = TextShifts(DEFAULT_MODEL)

    def show(self, request: Request, session: Session) -> Response:
        """Show counts, throughput, agreement and calibration."""
        store = self._site.state.store
        given = request.query_params.get("days", "30")
        days = int(given) if given in map(str, DAY_CHOICES) else 30
        statistics = store_statistics(store)
        work = measure_performance(store, days=days)
        return self._site.render(
            request,
            session,
            "dashboards.html",
            statistics=statistics,
            waiting=sum(statistics.states[state] for state in WAITING),
            work=work,
            days=days,
            day_choices=DAY_CHOICES,
            frame=CHART,
            bars=day_bars(work.days),
            marks=calibration_marks(work.bins),
        )

    def show_drift(self, request: Request, session: Session) -> Response:
        """Show each period against the reference."""
        every, by = request.query_params.get("every", "month"), request.query_params.get("by", "published")
        report, problem = None, ""
        try:
            report = self._drift(every, by)
        except SettingError:
            raise
        except CtiforgeError as error:  # too few items is no failure of a page
            problem = f"{error.message}. {(error.fix or '').capitalize()}."
        panels = drift_panels(report) if report and report.periods else ()
        choices: dict[str, Any] = {"every": every, "by": by, "every_choices": EVERY, "by_choices": _BY}
        return self._site.render(request, session, "drift.html", report=report, panels=panels, problem=problem, **choices)

    def _drift(self, every: str, by: str) -> DriftReport:
        store = self._site.state.store
        newest = history(store, limit=1)
        seq = newest[-1].seq if newest else 0
        with self._lock:
            kept = self._kept.get((every, by))
            if kept is None or kept[0] != seq:
                kept = (seq, drift(store, every=every, by=by, texts=self._texts))
                self._kept[every, by] = kept
            return kept[1]
