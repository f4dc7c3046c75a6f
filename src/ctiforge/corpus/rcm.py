"""Second stage: CVEs in, labelled CVE-to-CWE records out, without prompt and completion yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from ctiforge.corpus.cves import CveRow
from ctiforge.corpus.labels import Label, LabelChooser
from ctiforge.corpus.lines import Rejection
from ctiforge.corpus.recipe import Rcm
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.stages import StageWriter
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.reservation_dates import ReservationCalendar

__all__ = ["make_rcm_records"]


def make_rcm_records(
    writer: StageWriter,
    cves: Iterable[CveRow],
    total: int,
    rcm: Rcm,
    licences: Mapping[str, str],
    reserved: Mapping[str, date],
    catalogue: CweCatalogue,
) -> None:
    """Keep a record for each CVE that the recipe wants and that has a label; reject the others with a reason.

    Args:
        licences: by feed.
        reserved: known reservation dates, to date CVEs without one.
    """
    chooser = LabelChooser(rcm.labels, catalogue)
    calendar = ReservationCalendar(reserved)
    for done, cve in enumerate(cves, 1):
        if done % 1000 == 0:
            writer.progress(done, total)
        published = cve.published
        day = published or calendar.estimate(cve.cve_id)
        chosen = _reason_to_leave(cve, day, rcm) or chooser.choose(cve.labels, cve.text)
        if isinstance(chosen, Label):
            writer.keep(_record(cve, day, published is None, chosen, licences))
            continue
        reason, detail = chosen if isinstance(chosen, tuple) else (chosen.reason, chosen.detail)
        writer.reject(Rejection(writer.name, reason, detail, "", cve.cve_id, cve.source, cve.text[:200]))


def _reason_to_leave(cve: CveRow, day: date, rcm: Rcm) -> tuple[str, str] | None:
    year = int(cve.cve_id.split("-")[1]) if rcm.years.by == "cve_id" else day.year
    if not rcm.years.first <= year <= rcm.years.last:
        return "other_year", f"{year} is not in {rcm.years.first}-{rcm.years.last}"
    if len(cve.text) < rcm.min_characters:
        return "text_too_short", f"{len(cve.text)} characters, fewer than {rcm.min_characters}"
    if len(cve.text) > rcm.max_characters:
        return "text_too_long", f"{len(cve.text)} characters, more than {rcm.max_characters}"
    return None


def _record(cve: CveRow, day: date, estimated: bool, label: Label, licences: Mapping[str, str]) -> CorpusRecord:
    label_source = cve.label_sources[label.party]
    metadata = {
        "assigned": label.assigned,
        "labels": dict(cve.labels),
        "label_source": label_source,
        "label_licence": licences[label_source],
        "date_estimated": estimated,
    }
    return CorpusRecord(
        id=f"rcm/{cve.cve_id}",
        kind="rcm",
        generator="rcm",
        prompt="",
        completion="",
        text=cve.text,
        label=label.cwe_id,
        source_id=cve.cve_id,
        source=cve.source,
        source_sha256=cve.text_sha256,
        licence=licences[cve.source],
        party=label.party,
        date=day.isoformat(),
        steps=("read", *label.way),
        metadata=metadata,
    )
