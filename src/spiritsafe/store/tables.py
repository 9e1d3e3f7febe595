"""The tables as the newest migration leaves them. A change here needs a migration; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    text,
)

from spiritsafe.store.columns import SafeText, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# One row. Whoever changes something that gateways enforce adds one to it first, in the same transaction,
# so such changes are serial and every process can tell cheaply whether it has seen the last of them.
generation = Table(
    "generation",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
    CheckConstraint("one = 1", name="single"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", SafeText, primary_key=True),
    Column("name", SafeText, nullable=False, index=True),
    Column("created", UtcTime, nullable=False),
    Column("payment", SafeText),
    Column("kind", SafeText),
    Column("status", SafeText, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("key_id", SafeText, primary_key=True),
    Column("account_id", SafeText, ForeignKey("accounts.account_id"), nullable=False, index=True),
    Column("prefix", SafeText, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("created", UtcTime, nullable=False),
    Column("name", SafeText),
    Column("expires", UtcTime),
    Column("revoked", UtcTime),
    Column("rotated_to", SafeText, ForeignKey("keys.key_id")),
    Column("requests_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("requests_per_day", BigInteger),
    Column("tokens_per_day", BigInteger),
)

grants = Table(
    "grants",
    metadata,
    Column("grant_id", SafeText, primary_key=True),
    Column("account_id", SafeText, ForeignKey("accounts.account_id"), nullable=False, index=True),
    Column("model", SafeText, nullable=False),
    Column("purpose", SafeText, nullable=False),
    Column("by", SafeText, nullable=False),
    Column("created", UtcTime, nullable=False),
    Column("expires", UtcTime),
    Column("revoked", UtcTime),
    Column("quota_requests", BigInteger),
    Column("quota_tokens", BigInteger),
    Column("used_requests", BigInteger, nullable=False, server_default=text("0")),
    Column("used_tokens", BigInteger, nullable=False, server_default=text("0")),
)

cases = Table(
    "cases",
    metadata,
    Column("case_id", SafeText, primary_key=True),
    Column("subject", SafeText, nullable=False),
    Column("opened", UtcTime, nullable=False),
    Column("status", SafeText, nullable=False),
    # Two appeals at once must end in one case.
    Index(
        "uq_cases_open_subject",
        "subject",
        unique=True,
        sqlite_where=text("status = 'open'"),
        postgresql_where=text("status = 'open'"),
    ),
)

# Accounts of a decision may be unknown here (a scan of someone's log), so they are no foreign keys.
decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", SafeText, primary_key=True),
    Column("time", UtcTime, nullable=False, index=True),
    Column("subject", SafeText, nullable=False, index=True),
    Column("subject_kind", SafeText, nullable=False),
    Column("action", SafeText, nullable=False),
    Column("rule", SafeText, nullable=False),
    Column("reasons", SafeText, nullable=False),
    Column("evidence", SafeText, nullable=False),
    Column("by", SafeText, nullable=False),
    Column("status", SafeText, nullable=False, index=True),
    Column("needs_person", Boolean, nullable=False),
    Column("expires", UtcTime),
    Column("case_id", SafeText, ForeignKey("cases.case_id"), index=True),
)

decision_accounts = Table(
    "decision_accounts",
    metadata,
    Column("decision_id", SafeText, ForeignKey("decisions.decision_id"), primary_key=True),
    Column("account_id", SafeText, primary_key=True, index=True),
    Column("released", Boolean, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("event_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("time", UtcTime, nullable=False),
    Column("kind", SafeText, nullable=False),
    Column("by", SafeText, nullable=False),
    Column("text", SafeText, nullable=False),
    Column("decision_id", SafeText, ForeignKey("decisions.decision_id"), index=True),
    Column("case_id", SafeText, ForeignKey("cases.case_id"), index=True),
    Column("account_id", SafeText),
    CheckConstraint("decision_id IS NOT NULL OR case_id IS NOT NULL", name="belongs"),
)

usage = Table(
    "usage",
    metadata,
    Column("key_id", SafeText, ForeignKey("keys.key_id"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
)
