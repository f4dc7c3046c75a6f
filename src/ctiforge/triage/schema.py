"""The tables, for SQLite and PostgreSQL alike. Times are ISO 8601 in UTC as text: they sort and hash the same in both."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "audit",
    "bulks",
    "chain_head",
    "items",
    "metadata",
    "queue_index",
    "record_heads",
    "records",
    "reviews",
    "settings",
    "suggestions",
]

metadata = MetaData()

items = Table(
    "items",
    metadata,
    Column("item_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("search", Text, nullable=False),  # identifier, title and text in lower case
    Column("advisory", Text, nullable=False),  # JSON, joined from the heads of all feeds
    Column("text_digest", Text, nullable=False),
    Column("assigned", Text, nullable=False),  # JSON: CWE IDs by party
    Column("parties_differ", Boolean, nullable=False),
    Column("model_differs", Boolean, nullable=False),
    Column("discouraged", Boolean, nullable=False),
    Column("kev_date", Text, nullable=False),
    Column("exploitation", Text, nullable=False),
    Column("automatable", Text, nullable=False),
    Column("technical_impact", Text, nullable=False),
    Column("ssvc", Text, nullable=False),
    Column("epss", Float),
    Column("cvss", Float),
    Column("published", Text, nullable=False),
    Column("suggestion_id", Integer, nullable=False),  # the one in force
    Column("top_cwe", Text, nullable=False),
    Column("probability", Float, nullable=False),
    Column("abstain_reason", Text, nullable=False),
    Column("review_id", Integer),  # the one in force
    Column("cwe_ids", Text, nullable=False),  # JSON: what was decided
    Column("base_priority", Float, nullable=False),  # all terms but age
    Column("first_seen", Text, nullable=False),
    Column("opened_at", Text, nullable=False),
    Column("opened_day", Integer, nullable=False),  # proleptic Gregorian ordinal, for the age
    Column("due_at", Text, nullable=False),
    Index("items_by_priority", "state", "base_priority").ddl_if(dialect="postgresql"),
)

queue_index = Index(
    "items_queue",
    *(
        items.c[name]
        for name in (
            "state", "base_priority", "opened_day", "published", "item_id", "due_at", "probability", "top_cwe",
            "abstain_reason", "parties_differ", "model_differs", "discouraged", "kev_date", "ssvc", "cwe_ids", "first_seen",
            "text_digest", "review_id", "suggestion_id", "version",
        )
    ),
).ddl_if(dialect="sqlite")  # fmt: skip
"""All that is filtered, ordered and counted by, beside the long texts. SQLite keeps a row's columns in one chain of pages, so
that without it every look at the queue reads every advisory; PostgreSQL keeps long texts elsewhere."""

records = Table(
    "records",
    metadata,
    Column("record_id", Integer, primary_key=True, autoincrement=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),  # format of the feed
    Column("digest", Text, nullable=False),
    Column("advisory", Text, nullable=False),
    Column("imported_at", Text, nullable=False),
)

record_heads = Table(
    "record_heads",
    metadata,
    Column("item_id", Text, ForeignKey("items.item_id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("record_id", Integer, ForeignKey("records.record_id"), nullable=False),
    Column("digest", Text, nullable=False),
    Column("modified", Text, nullable=False),
    Column("classifier", Text, nullable=False),  # model, CWE version, policy and settings that have seen it
)

suggestions = Table(
    "suggestions",
    metadata,
    Column("suggestion_id", Integer, primary_key=True, autoincrement=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("record_id", Integer, ForeignKey("records.record_id"), nullable=False),
    Column("made_at", Text, nullable=False),
    Column("classifier", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("cwe_version", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("prediction", Text, nullable=False),  # JSON: probabilities and evidence
)

bulks = Table(
    "bulks",
    metadata,
    Column("bulk_id", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("min_probability", Float, nullable=False),
)

reviews = Table(
    "reviews",
    metadata,
    Column("review_id", Integer, primary_key=True, autoincrement=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("act", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("cwe_ids", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("prior", Text, nullable=False),
    Column("suggestion_id", Integer, ForeignKey("suggestions.suggestion_id"), nullable=False),
    Column("bulk_id", Integer, ForeignKey("bulks.bulk_id")),
    UniqueConstraint("item_id", "version"),
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("item_id", Text, nullable=False, index=True),
    Column("details", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

chain_head = Table(
    "chain_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("hash", Text, nullable=False),
    Column("schema_version", Integer, nullable=False),
)
