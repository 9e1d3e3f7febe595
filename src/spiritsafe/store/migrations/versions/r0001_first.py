"""The first tables. A migration stands by itself: later changes to the package don't change what it does."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What was decided and what became of it is never taken back out, by nobody's slip either.
KEPT = ("decisions", "decision_accounts", "events")


def upgrade() -> None:
    """Create every table and the triggers that keep decisions."""
    _accounts()
    _decisions()
    op.create_table(
        "usage",
        sa.Column("key_id", sa.Text(), sa.ForeignKey("keys.key_id", name="fk_usage_key_id"), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "day", name="pk_usage"),
    )
    generation = op.create_table(
        "generation",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("one = 1", name="ck_generation_single"),
        sa.PrimaryKeyConstraint("one", name="pk_generation"),
    )
    op.bulk_insert(generation, [{"one": 1, "value": 0}])
    _keep()


def _time() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created", _time(), nullable=False),
        sa.Column("payment", sa.Text()),
        sa.Column("kind", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name="pk_accounts"),
    )
    op.create_index("ix_accounts_name", "accounts", ["name"])
    op.create_table(
        "keys",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column(
            "account_id", sa.Text(), sa.ForeignKey("accounts.account_id", name="fk_keys_account_id"), nullable=False
        ),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("created", _time(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("expires", _time()),
        sa.Column("revoked", _time()),
        sa.Column("rotated_to", sa.Text(), sa.ForeignKey("keys.key_id", name="fk_keys_rotated_to")),
        sa.Column("requests_per_minute", sa.BigInteger()),
        sa.Column("tokens_per_minute", sa.BigInteger()),
        sa.Column("requests_per_day", sa.BigInteger()),
        sa.Column("tokens_per_day", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key_id", name="pk_keys"),
        sa.UniqueConstraint("hash", name="uq_keys_hash"),
    )
    op.create_index("ix_keys_account_id", "keys", ["account_id"])
    op.create_table(
        "grants",
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column(
            "account_id", sa.Text(), sa.ForeignKey("accounts.account_id", name="fk_grants_account_id"), nullable=False
        ),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("created", _time(), nullable=False),
        sa.Column("expires", _time()),
        sa.Column("revoked", _time()),
        sa.Column("quota_requests", sa.BigInteger()),
        sa.Column("quota_tokens", sa.BigInteger()),
        sa.Column("used_requests", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("used_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("grant_id", name="pk_grants"),
    )
    op.create_index("ix_grants_account_id", "grants", ["account_id"])


def _decisions() -> None:
    op.create_table(
        "cases",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("opened", _time(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", name="pk_cases"),
    )
    still_open = sa.text("status = 'open'")
    op.create_index(
        "uq_cases_open_subject", "cases", ["subject"], unique=True, sqlite_where=still_open, postgresql_where=still_open
    )
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("time", _time(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("needs_person", sa.Boolean(), nullable=False),
        sa.Column("expires", _time()),
        sa.Column("case_id", sa.Text(), sa.ForeignKey("cases.case_id", name="fk_decisions_case_id")),
        sa.PrimaryKeyConstraint("decision_id", name="pk_decisions"),
    )
    for column in ("time", "subject", "status", "case_id"):
        op.create_index(f"ix_decisions_{column}", "decisions", [column])
    decision = "decisions.decision_id"
    op.create_table(
        "decision_accounts",
        sa.Column(
            "decision_id", sa.Text(), sa.ForeignKey(decision, name="fk_decision_accounts_decision_id"), nullable=False
        ),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("released", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", "account_id", name="pk_decision_accounts"),
    )
    op.create_index("ix_decision_accounts_account_id", "decision_accounts", ["account_id"])
    op.create_table(
        "events",
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("time", _time(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("decision_id", sa.Text(), sa.ForeignKey(decision, name="fk_events_decision_id")),
        sa.Column("case_id", sa.Text(), sa.ForeignKey("cases.case_id", name="fk_events_case_id")),
        sa.Column("account_id", sa.Text()),
        sa.CheckConstraint("decision_id IS NOT NULL OR case_id IS NOT NULL", name="ck_events_belongs"),
        sa.PrimaryKeyConstraint("event_id", name="pk_events"),
    )
    op.create_index("ix_events_decision_id", "events", ["decision_id"])
    op.create_index("ix_events_case_id", "events", ["case_id"])


def _keep() -> None:
    if op.get_context().dialect.name == "sqlite":
        for table in KEPT:
            op.execute(
                f"CREATE TRIGGER {table}_stay BEFORE DELETE ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} are never deleted'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION spiritsafe_stay() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% are never deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
    )
    for table in KEPT:
        op.execute(
            f"CREATE TRIGGER {table}_stay BEFORE DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION spiritsafe_stay()"
        )
