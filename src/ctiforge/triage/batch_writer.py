"""One batch of an import inside a transaction: new items, changed items, and the links that say so."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update

from ctiforge.sources.cwe import CweCatalogue
from ctiforge.triage.audit_links import row_digest
from ctiforge.triage.import_work import Draft
from ctiforge.triage.item_columns import advisory_columns, prediction_columns
from ctiforge.triage.join_records import join_records
from ctiforge.triage.ranking import facts_of_row, order_columns
from ctiforge.triage.record_json import advisory_from_json, prediction_from_json
from ctiforge.triage.rules import rules_in_force
from ctiforge.triage.schema import items, record_heads, records, suggestions
from ctiforge.triage.store import Transaction
from ctiforge.triage.values import DECIDED

__all__ = ["BatchWriter"]

_SETTLED = (*DECIDED, "awaiting_second")

_Row = dict[str, Any]


class BatchWriter:
    """Collects the rows of a batch and writes them table by table. Drafts of one item may follow each other in a batch."""

    def __init__(self, transaction: Transaction, drafts: list[Draft], actor: str, catalogue: CweCatalogue) -> None:
        self._transaction = transaction
        self._drafts = drafts
        self._actor = actor
        self._catalogue = catalogue
        self._rules = rules_in_force(transaction.connection)
        self._load([draft.item_id for draft in drafts])
        self._old_items = set(self._items)
        self._old_heads = {(item_id, kind) for item_id, heads in self._heads.items() for kind in heads}
        self._changes: dict[str, _Row] = {}
        self._touched: dict[tuple[str, str], _Row] = {}
        self._new_records: list[_Row] = []
        self._new_suggestions: list[_Row] = []

    def _load(self, ids: list[str]) -> None:
        """Read what the store has of the batch's items: rows, the heads of their records, the suggestions in force."""
        connection = self._transaction.connection
        found = connection.execute(select(items).where(items.c.item_id.in_(ids))).all() if ids else []
        self._items: dict[str, _Row] = {row.item_id: row._asdict() for row in found}
        self._heads: dict[str, dict[str, _Row]] = {}
        self._suggestions: dict[int, _Row] = {}
        if not self._items:
            return
        heads = select(record_heads, records.c.advisory).join(records, records.c.record_id == record_heads.c.record_id)
        for row in connection.execute(heads.where(record_heads.c.item_id.in_(self._items))):
            self._heads.setdefault(row.item_id, {})[row.kind] = row._asdict()
        numbers = [row["suggestion_id"] for row in self._items.values()]
        for row in connection.execute(select(suggestions).where(suggestions.c.suggestion_id.in_(numbers))):
            self._suggestions[row.suggestion_id] = row._asdict()

    def write(self) -> Counter[str]:
        """Write everything, and return what became of the records by name, as in `ImportReport`."""
        counts: Counter[str] = Counter()
        for draft in self._drafts:
            counts.update(self._take(draft))
        connection = self._transaction.connection
        new_items = [row for item_id, row in self._items.items() if item_id not in self._old_items]
        new_heads = [row for key, row in self._touched.items() if key not in self._old_heads]
        for table, rows in (
            (items, new_items),
            (records, self._new_records),
            (suggestions, self._new_suggestions),
            (record_heads, new_heads),
        ):
            if rows:
                connection.execute(insert(table), rows)
        for (item_id, kind), row in self._touched.items():
            if (item_id, kind) in self._old_heads:
                same = (record_heads.c.item_id == item_id) & (record_heads.c.kind == kind)
                connection.execute(update(record_heads).where(same).values(row))
        for item_id, changes in self._changes.items():
            connection.execute(update(items).where(items.c.item_id == item_id).values(changes))
        return counts

    def _take(self, draft: Draft) -> tuple[str, ...]:
        heads = self._heads.setdefault(draft.item_id, {})
        head = heads.get(draft.kind)
        if head and head["modified"] > draft.modified > "":
            return ("outdated",)
        record = None if head and head["digest"] == draft.digest else self._add_record(draft)
        record_id = record["record_id"] if record else heads[draft.kind]["record_id"]
        row = {
            "item_id": draft.item_id,
            "kind": draft.kind,
            "record_id": record_id,
            "digest": draft.digest,
            "modified": draft.modified,
            "classifier": draft.suggestion["classifier"],
        }
        self._touched[draft.item_id, draft.kind] = row
        heads[draft.kind] = row | {"advisory": draft.columns["advisory"]}
        if draft.item_id not in self._items:
            return self._add_item(draft, record, record_id)
        return self._change_item(draft, record, record_id)

    def _add_record(self, draft: Draft) -> _Row:
        row = {
            "record_id": self._transaction.next_number(records.c.record_id),
            "item_id": draft.item_id,
            "kind": draft.kind,
            "digest": draft.digest,
            "advisory": draft.columns["advisory"],
            "imported_at": self._transaction.at,
        }
        self._new_records.append(row)
        return row

    def _add_suggestion(self, draft: Draft, record_id: int) -> _Row:
        row = {
            **draft.suggestion,
            "suggestion_id": self._transaction.next_number(suggestions.c.suggestion_id),
            "item_id": draft.item_id,
            "record_id": record_id,
            "made_at": self._transaction.at,
        }
        self._new_suggestions.append(row)
        self._suggestions[row["suggestion_id"]] = row
        return row

    def _add_item(self, draft: Draft, record: _Row | None, record_id: int) -> tuple[str, ...]:
        suggestion = self._add_suggestion(draft, record_id)
        row = {
            **draft.columns,
            "item_id": draft.item_id,
            "version": 1,
            "state": "open",
            "epss": None,
            "suggestion_id": suggestion["suggestion_id"],
            "review_id": None,
            "cwe_ids": "[]",
            "first_seen": self._transaction.at,
            **self._opened_now(),
        }
        row |= order_columns(facts_of_row(row), self._rules, self._transaction.moment)
        self._items[draft.item_id] = row
        self._link("import", draft, record, suggestion)
        return ("added",)

    def _opened_now(self) -> _Row:
        return {"opened_at": self._transaction.at, "opened_day": self._transaction.moment.astimezone(UTC).toordinal()}

    def _change_item(self, draft: Draft, record: _Row | None, record_id: int) -> tuple[str, ...]:
        item = self._items[draft.item_id]
        heads = self._heads[draft.item_id]
        advisory = join_records({kind: advisory_from_json(head["advisory"]) for kind, head in heads.items()})
        changes: _Row = advisory_columns(advisory, self._catalogue)
        changes["kev_date"] = changes["kev_date"] or item["kev_date"]  # the catalogue may have said it, not the record
        changed = [
            name for name, column in (("text", "text_digest"), ("assigned", "assigned")) if changes[column] != item[column]
        ]
        in_force = self._suggestions[item["suggestion_id"]]
        suggestion = None
        is_its_text = draft.columns["text_digest"] == changes["text_digest"]
        if is_its_text and ("text" in changed or in_force["classifier"] != draft.suggestion["classifier"]):
            suggestion = in_force = self._add_suggestion(draft, record_id)
            changes["suggestion_id"] = suggestion["suggestion_id"]
        if record is None and suggestion is None:
            return ("unchanged",)
        changes |= prediction_columns(prediction_from_json(in_force["prediction"], advisory), advisory)
        reopened = bool(changed) and item["state"] in _SETTLED
        if changed or suggestion:
            changes["version"] = item["version"] + 1
        if reopened:
            changes |= {"state": "reopened", **self._opened_now()}
        opened = self._transaction.moment if reopened else datetime.fromisoformat(item["opened_at"])
        changes |= order_columns(facts_of_row(item | changes), self._rules, opened)
        item.update(changes)
        if draft.item_id in self._old_items:
            self._changes.setdefault(draft.item_id, {}).update(changes)
        self._link("reopen" if reopened else "change", draft, record, suggestion, changed=changed or ["facts"])
        return ("changed", "reopened") if reopened else ("changed",)

    def _link(self, action: str, draft: Draft, record: _Row | None, suggestion: _Row | None, **more: Any) -> None:
        details: _Row = {"feed": draft.kind, **more}
        if record:
            details |= {"record": record["record_id"], "record_digest": row_digest(record)}
        if suggestion:
            named = {name: suggestion[name] for name in ("model", "model_digest", "cwe_version", "policy")}
            details |= named | {"suggestion": suggestion["suggestion_id"], "suggestion_digest": row_digest(suggestion)}
        self._transaction.link(action, self._actor, draft.item_id, **details)
