"""Decisions in the store: recorded, confirmed, reversed, appealed, run out; never deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Select, insert, or_, select, update

from spiritsafe.errors import UsageError
from spiritsafe.store.base import Base, missing, need_text, need_zone
from spiritsafe.store.cases import add_event, open_case_of, set_case_status, start_case
from spiritsafe.store.models import ACTIONS, Decision, DecisionStatus, Event, EventKind, strictness
from spiritsafe.store.packing import pack, unpack_evidence, unpack_reasons
from spiritsafe.store.tables import cases, decision_accounts, decisions, events

Ids = Select[tuple[str]]


def load(connection: Connection, ids: Ids) -> list[Decision]:
    """The decisions that ``ids`` selects, newest first, in three queries however many they are."""
    covered: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    members = select(decision_accounts).where(decision_accounts.c.decision_id.in_(ids))
    for decision_id, account_id, released in connection.execute(members.order_by(decision_accounts.c.account_id)):
        covered[decision_id].append((account_id, released))
    history: dict[str, list[Event]] = defaultdict(list)
    lines = select(*(events.c[name] for name in Event.__struct_fields__)).where(events.c.decision_id.in_(ids))
    for line in connection.execute(lines.order_by(events.c.time, events.c.event_id)).mappings():
        history[line["decision_id"]].append(Event(**line))
    query = select(decisions).where(decisions.c.decision_id.in_(ids))
    rows = connection.execute(query.order_by(decisions.c.time.desc(), decisions.c.decision_id)).mappings()
    return [_decision(row, covered[row["decision_id"]], history[row["decision_id"]]) for row in rows]


def _decision(row: RowMapping, covered: list[tuple[str, bool]], history: list[Event]) -> Decision:
    appeals = [event.text for event in history if event.kind == "appealed"]
    return Decision(
        **{
            **row,
            "reasons": unpack_reasons(row["reasons"]),
            "evidence": unpack_evidence(row["evidence"]),
            "accounts": tuple(account_id for account_id, _ in covered),
            "released": tuple(account_id for account_id, released in covered if released),
            "appeal": appeals[-1] if appeals else None,
            "events": tuple(history),
        }
    )


def get_decision(connection: Connection, decision_id: str) -> Decision:
    """The decision of that id; raises ``UsageError`` when there is none."""
    found = load(connection, _only(decision_id))
    if not found:
        raise missing("decision", decision_id)
    return found[0]


def _only(decision_id: str) -> Ids:
    return select(decisions.c.decision_id).where(decisions.c.decision_id == decision_id)


def strictest(found: Iterable[Decision]) -> dict[str, Decision]:
    """For each account that ``found`` covers and has not released, the strictest; the newest of equals."""
    standing: dict[str, Decision] = {}
    for decision in sorted(found, key=lambda d: (strictness(d.action), d.time)):
        released = set(decision.released)
        standing.update((account, decision) for account in decision.accounts if account not in released)
    return standing


class Decisions(Base):
    """The part of ``Store`` about decisions."""

    def decide(self, decision: Decision) -> Decision:
        """Record a decision; it joins its subject's open case, if there is one.

        It is ``pending`` if it needs a person and ``in_force`` if not. The same ``decision_id`` again is
        recorded once, so a watcher may repeat after a crash; with another content it raises ``UsageError``.
        """
        _check(decision)
        with self._change() as connection:
            known = load(connection, _only(decision.decision_id))
            if known:
                _need_same(known[0], decision)
                return known[0]
            case_id = decision.case_id or open_case_of(connection, decision.subject)
            _insert(connection, decision, case_id)
            text = f"{decision.action} by {decision.rule}" + (", needs a person" if decision.needs_person else "")
            self._tell(connection, decision, "decided", decision.by, text)
            return get_decision(connection, decision.decision_id)

    def _tell(
        self, connection: Connection, decision: Decision, kind: EventKind, by: str, text: str, **more: str | None
    ) -> None:
        event = Event(time=self._clock(), kind=kind, by=by, text=text, decision_id=decision.decision_id, **more)
        add_event(connection, event)

    def decisions(
        self,
        *,
        status: DecisionStatus | None = None,
        subject: str | None = None,
        account_id: str | None = None,
        limit: int | None = None,
    ) -> list[Decision]:
        """The decisions, newest first; those of one status, one subject, or that cover one account, if given."""
        ids = select(decisions.c.decision_id)
        if status is not None:
            ids = ids.where(decisions.c.status == status)
        if subject is not None:
            ids = ids.where(decisions.c.subject == subject)
        if account_id is not None:
            ids = ids.where(decisions.c.decision_id.in_(_covering(account_id)))
        if limit is not None:
            ids = ids.order_by(decisions.c.time.desc(), decisions.c.decision_id).limit(limit)
        with self._read() as connection:
            return load(connection, ids)

    def decision(self, decision_id: str) -> Decision:
        """The decision of that id; raises ``UsageError`` when there is none."""
        with self._read() as connection:
            return get_decision(connection, decision_id)

    def standing(self, account_id: str | None = None) -> dict[str, Decision]:
        """For each account (or one) the strictest decision in force now; accounts with none are left out."""
        now = self._clock()
        lasting = or_(decisions.c.expires.is_(None), decisions.c.expires > now)
        ids = select(decisions.c.decision_id).where(decisions.c.status == "in_force", lasting)
        if account_id is not None:
            ids = ids.where(decisions.c.decision_id.in_(_covering(account_id)))
        with self._read() as connection:
            found = strictest(load(connection, ids))
        return found if account_id is None else {a: d for a, d in found.items() if a == account_id}

    def confirm(self, decision_id: str, by: str, reason: str = "") -> Decision:
        """Put a pending decision in force: a person answers for it."""
        need_text(person=by)
        if by.startswith("policy:"):
            raise UsageError("a policy can't confirm a decision", remedy="Name the person who does.")
        with self._change() as connection:
            decision = get_decision(connection, decision_id)
            if decision.status != "pending":
                remedy = "Only a pending decision can be confirmed."
                raise UsageError(f"the decision {decision_id} is {_words(decision)}", remedy=remedy)
            if decision.expires is not None and decision.expires <= self._clock():
                remedy = "Let the policy decide again, or decide anew."
                raise UsageError(f"the decision {decision_id} has run out", remedy=remedy)
            _set_status(connection, decision_id, "in_force")
            self._tell(connection, decision, "confirmed", by, reason)
            return get_decision(connection, decision_id)

    def reverse(self, decision_id: str, by: str, reason: str, *, account_id: str | None = None) -> Decision:
        """End a pending or binding decision, at once and for good; with ``account_id``, let that account of a
        ring go and keep the rest (the last one to go ends it). Milder decisions that stand beside it still bind.
        """
        need_text(person=by, reason=reason)
        with self._change() as connection:
            decision = get_decision(connection, decision_id)
            if decision.status not in ("pending", "in_force"):
                raise UsageError(f"the decision {decision_id} is {_words(decision)}", remedy="It binds nobody.")
            if account_id is not None:
                self._release(connection, decision, account_id, by, reason)
            if account_id is None or set(decision.accounts) == {*decision.released, account_id}:
                _set_status(connection, decision_id, "reversed")
                self._tell(connection, decision, "reversed", by, reason)
            return get_decision(connection, decision_id)

    def _release(self, connection: Connection, decision: Decision, account_id: str, by: str, reason: str) -> None:
        _need_member(decision, account_id)
        if account_id in decision.released:
            remedy = "It binds that account no longer."
            raise UsageError(f"{account_id!r} was let go from {decision.decision_id} already", remedy=remedy)
        one = (decision_accounts.c.decision_id == decision.decision_id) & (decision_accounts.c.account_id == account_id)
        connection.execute(update(decision_accounts).where(one).values(released=True))
        self._tell(connection, decision, "released", by, reason, account_id=account_id)

    def expire(self) -> list[Decision]:
        """Mark every decision whose time has run out, and return those; call it now and then, from anywhere."""
        over = select(decisions.c.decision_id).where(
            decisions.c.status.in_(("pending", "in_force")), decisions.c.expires <= self._clock()
        )
        with self._read() as connection:
            if connection.execute(over.limit(1)).first() is None:
                return []
        with self._change() as connection:
            ended = load(connection, over)
            for decision in ended:
                _set_status(connection, decision.decision_id, "expired")
                self._tell(connection, decision, "expired", "clock", "")
            return [get_decision(connection, decision.decision_id) for decision in ended]

    def appeal(self, decision_id: str, text: str, *, account_id: str | None = None) -> Decision:
        """Write an appeal down where people look: in the subject's open case, or the decision's own, opened again,
        or a new one. The decision stands until a person reverses it.
        """
        need_text(appeal=text)
        with self._write() as connection:
            decision = get_decision(connection, decision_id)
            if account_id is not None:
                _need_member(decision, account_id)
            by = f"{decision.subject_kind}:{decision.subject}" if account_id is None else f"account:{account_id}"
            case_id = _case_for(connection, decision, by, self._clock())
            connection.execute(update(decisions).where(decisions.c.decision_id == decision_id).values(case_id=case_id))
            self._tell(connection, decision, "appealed", by, text, case_id=case_id, account_id=account_id)
            return get_decision(connection, decision_id)


def _covering(account_id: str) -> Ids:
    return select(decision_accounts.c.decision_id).where(decision_accounts.c.account_id == account_id)


def _case_for(connection: Connection, decision: Decision, by: str, now: datetime) -> str:
    case_id = open_case_of(connection, decision.subject)
    if case_id is None and decision.case_id is not None:
        status = connection.execute(select(cases.c.status).where(cases.c.case_id == decision.case_id)).scalar_one()
        if status == "closed":
            set_case_status(connection, decision.case_id, "open", by, "an appeal came in", now)
        return decision.case_id
    if case_id is None:
        opening = Event(time=now, kind="opened", by=by, text="an appeal came in")
        case_id = start_case(connection, decision.subject, opening) or open_case_of(connection, decision.subject)
        assert case_id is not None
    return case_id


def _insert(connection: Connection, decision: Decision, case_id: str | None) -> None:
    connection.execute(
        insert(decisions).values(
            decision_id=decision.decision_id,
            time=decision.time,
            subject=decision.subject,
            subject_kind=decision.subject_kind,
            action=decision.action,
            rule=decision.rule,
            reasons=pack(decision.reasons),
            evidence=pack(decision.evidence),
            by=decision.by,
            status=decision.status,
            needs_person=decision.needs_person,
            expires=decision.expires,
            case_id=case_id,
        )
    )
    members = [
        {"decision_id": decision.decision_id, "account_id": account_id, "released": False}
        for account_id in sorted(set(decision.accounts))
    ]
    connection.execute(insert(decision_accounts), members)


def _set_status(connection: Connection, decision_id: str, status: DecisionStatus) -> None:
    connection.execute(update(decisions).where(decisions.c.decision_id == decision_id).values(status=status))


def _check(decision: Decision) -> None:
    need_text(subject=decision.subject, rule=decision.rule, decider=decision.by)
    need_zone("the decision's time", decision.time)
    if decision.expires is not None:
        need_zone("the decision's expiry", decision.expires)
    if decision.action not in ACTIONS:
        raise UsageError(f"there is no action {decision.action!r}", remedy=f"Valid actions: {', '.join(ACTIONS)}.")
    if not decision.accounts:
        raise UsageError("the decision covers no account", remedy="Name the accounts it binds.")
    if decision.subject_kind == "account" and set(decision.accounts) != {decision.subject}:
        remedy = "Make a ring the subject to bind several."
        raise UsageError("a decision about an account covers that account alone", remedy=remedy)
    if decision.status != ("pending" if decision.needs_person else "in_force"):
        raise UsageError(
            f"a new decision can't be {decision.status!r} with needs_person={decision.needs_person}",
            remedy="Record it as pending if it needs a person and as in_force if not.",
        )


def _need_same(known: Decision, decision: Decision) -> None:
    def content(d: Decision) -> tuple[object, ...]:
        return d.subject, d.subject_kind, d.action, d.rule, frozenset(d.accounts)

    if content(known) != content(decision):
        remedy = "Draw a new decision_id for another decision."
        raise UsageError(f"the decision {decision.decision_id!r} was recorded with another content", remedy=remedy)


def _need_member(decision: Decision, account_id: str) -> None:
    if account_id not in decision.accounts:
        raise UsageError(
            f"the decision {decision.decision_id} does not cover the account {account_id!r}",
            remedy=f"'spiritsafe decision show {decision.decision_id}' lists those it covers.",
        )


def _words(decision: Decision) -> str:
    return decision.status.replace("_", " ")
