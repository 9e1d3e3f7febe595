from __future__ import annotations

from datetime import date

import pytest

from spiritsafe.distill.terms.types import PURPOSES, Clause, Source, Terms

CLAUSE = Clause(what="Anything goes.", kind="free")
SOURCE = Source(document="d", basis="recollection, unverified")


def test_what_was_read_says_when_and_where():
    for basis in ("read", "quoted"):
        with pytest.raises(ValueError, match="takes 'read'"):
            Source(document="d", basis=basis)
        with pytest.raises(ValueError, match="takes 'read'"):
            Source(document="d", basis=basis, read=date(2026, 1, 1))
        Source(document="d", basis=basis, read=date(2026, 1, 1), copy="there")


def test_what_was_not_read_claims_no_day_and_no_copy():
    with pytest.raises(ValueError, match="neither"):
        Source(document="d", basis="recollection, unverified", read=date(2026, 1, 1))
    with pytest.raises(ValueError, match="neither"):
        Source(document="d", basis="recollection, unverified", copy="there")


def make(**more):
    return Terms(id="t", name="T", publisher="p", reach="weights", source=SOURCE, **{"clauses": [CLAUSE], **more})


def test_a_purpose_answers_for_itself_and_else_the_verdict_holds():
    terms = make(verdict="forbidden", purposes={"research": "conditional"})
    assert {p: terms.verdict_for(p) for p in PURPOSES} == {
        "student": "forbidden",
        "narrow": "forbidden",
        "research": "conditional",
        "inside": "forbidden",
    }


def test_a_purpose_that_does_not_exist_names_the_valid_ones():
    with pytest.raises(ValueError, match="student, narrow, research, inside"):
        make(verdict="allowed", purposes={"fun": "allowed"})


def test_terms_without_a_clause_are_refused():
    with pytest.raises(ValueError, match="say nothing"):
        make(verdict="allowed", clauses=[])
