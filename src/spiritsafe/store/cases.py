"""Cases in the store, and the one table of events that cases and decisions both tell their history from."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from spiritsafe.errors import UsageError
from spiritsafe.store.base import Base, missing, need_text
from spiritsafe.store.models import Case, CaseStatus, Event, EventKind
from spiritsafe.store.secrets import new_id
from spiritsafe.store.tables import cases, decisions, events


def add_event(connection: Connection, event: Event) -> None:
    """Write one line of history."""
    connection.execute(insert(events).values({name: getattr(event, name) for name in Event.__struct_fields__}))


def get_case(connection: Connection, case_id: str) -> Case:
    """The case of that id; raises ``UsageError`` when there is none."""
    row = connection.execute(select(cases).where(cases.c.case_id == case_id)).mappings().first()
    if row is None:
        raise missing("case", case_id)
    theirs = select(decisions.c.decision_id).where(decisions.c.case_id == case_id)
    lines = connection.execute(
        select(*(events.c[name] for name in Event.__struct_fields__))
        .where(or_(events.c.case_id == case_id, events.c.decision_id.in_(theirs)))
        .order_by(events.c.time, events.c.event_id)
    )
    return Case(**row, events=tuple(Event(**line) for line in lines.mappings()))


def open_case_of(connection: Connection, subject: str) -> str | None:
    """The id of the open case about ``subject``; there is at most one."""
    query = select(cases.c.case_id).where(cases.c.subject == subject, cases.c.status == "open")
    return connection.execute(query).scalar()


def start_case(connection: Connection, subject: str, opening: Event) -> str | None:
    """Open a case with ``opening`` as its first line; None when somebody else has just opened one."""
    case_id = new_id("case")
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    made = connection.execute(
        dialect.insert(cases)
        .values(case_id=case_id, subject=subject, opened=opening.time, status="open")
        .on_conflict_do_nothing()
        .returning(cases.c.case_id)
    ).scalar()
    if made is None:
        return None
    add_event(connection, Event(time=opening.time, kind="opened", by=opening.by, text=opening.text, case_id=case_id))
    return case_id


class Cases(Base):
    """The part of ``Store`` about cases."""

    def open_case(self, subject: str, by: str, text: str = "") -> Case:
        """Open a case about an account or a ring. Raises ``UsageError`` if one is open about it."""
        need_text(subject=subject, person=by)
        with self._write() as connection:
            opening = Event(time=self._clock(), kind="opened", by=by, text=text)
            case_id = start_case(connection, subject, opening)
            if case_id is None:
                known = open_case_of(connection, subject)
                raise UsageError(f"{subject!r} has an open case, {known}", remedy=f"Add to it: case note {known}.")
            return get_case(connection, case_id)

    def cases(self, *, status: CaseStatus | None = None, subject: str | None = None) -> list[Case]:
        """The cases, newest first; those of one status or subject alone, if given."""
        query = select(cases.c.case_id).order_by(cases.c.opened.desc(), cases.c.case_id)
        if status is not None:
            query = query.where(cases.c.status == status)
        if subject is not None:
            query = query.where(cases.c.subject == subject)
        with self._read() as connection:
            return [get_case(connection, case_id) for case_id in connection.execute(query).scalars()]

    def case(self, case_id: str) -> Case:
        """The case of that id; raises ``UsageError`` when there is none."""
        with self._read() as connection:
            return get_case(connection, case_id)

    def note(self, case_id: str, by: str, text: str) -> Case:
        """Add a person's note, to a closed case too."""
        need_text(person=by, note=text)
        with self._write() as connection:
            get_case(connection, case_id)
            add_event(connection, Event(time=self._clock(), kind="note", by=by, text=text, case_id=case_id))
            return get_case(connection, case_id)

    def close_case(self, case_id: str, by: str, reason: str) -> Case:
        """Close an open case. What was decided in it stays in force: reverse that by itself."""
        need_text(person=by, reason=reason)
        with self._write() as connection:
            if get_case(connection, case_id).status == "closed":
                raise UsageError(f"the case {case_id} is closed", remedy="Nothing to do.")
            set_case_status(connection, case_id, "closed", by, reason, self._clock())
            return get_case(connection, case_id)

    def reopen_case(self, case_id: str, by: str, reason: str) -> Case:
        """Open a closed case again. Raises ``UsageError`` if its subject has another open case."""
        need_text(person=by, reason=reason)
        with self._write() as connection:
            case = get_case(connection, case_id)
            known = open_case_of(connection, case.subject)
            if known is not None:
                raise UsageError(f"{case.subject!r} has an open case, {known}", remedy=f"Add to it: case note {known}.")
            set_case_status(connection, case_id, "open", by, reason, self._clock())
            return get_case(connection, case_id)


def set_case_status(
    connection: Connection, case_id: str, status: CaseStatus, by: str, text: str, now: datetime
) -> None:
    """Close or reopen a case and write that down."""
    connection.execute(update(cases).where(cases.c.case_id == case_id).values(status=status))
    kind: EventKind = "closed" if status == "closed" else "reopened"
    add_event(connection, Event(time=now, kind=kind, by=by, text=text, case_id=case_id))
