from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spiritsafe.evidence.document import to_html
from spiritsafe.evidence.pdf import to_pdf
from spiritsafe.prove.account import HEADLINES, Lead, document
from spiritsafe.prove.conduct import conduct
from spiritsafe.prove.protocol import LIMITS, Conclusion


@pytest.mark.parametrize(("who", "tone"), [("guilty", "bad"), ("innocent", "")])
def test_the_report_says_what_was_found_how_and_what_it_does_not_mean(
    affair, tmp_path: Path, who: str, tone: str
) -> None:
    done = conduct(affair.case(), affair.folder, who, tmp_path / "work", opens=affair.opens)
    told = document(done.plan, done.results)
    assert told.tone == tone
    page = to_html(told)
    for words in (done.plan.digest, done.plan.parts[0].published.digest, "bystander", "80 pairs", "Holm"):
        assert words in page
    assert all(limit.split(":")[0].replace("'", "&#x27;") in page for limit in LIMITS)
    assert ("Answers to these accounts" in page) == (who == "guilty")
    assert "Leads" not in page
    assert to_pdf(told).startswith(b"%PDF")


def test_leads_stand_apart_in_other_words(affair, tmp_path: Path) -> None:
    done = conduct(affair.case(), affair.folder, "innocent", tmp_path / "work", opens=affair.opens)
    lead = Lead(name="style", words="how long its sentences are", score=0.75, controls=(0.1, 0.2))
    page = to_html(document(done.plan, msgspec.structs.replace(done.results, leads=(lead,))))
    section = page.split("<h2>Leads, which prove nothing</h2>")[1]
    assert "no error rate can be given" in section
    assert "0.100, 0.200" in section


def test_where_nothing_can_be_concluded_the_report_says_why(affair, tmp_path: Path) -> None:
    done = conduct(affair.case(), affair.folder, "innocent", tmp_path / "work", opens=affair.opens)
    unsure = Conclusion(verdict="undecided", reasons=("8 more are needed",), lines=())
    told = document(done.plan, msgspec.structs.replace(done.results, conclusion=unsure))
    assert told.headline == HEADLINES["undecided"][1]
    assert "8 more are needed" in to_html(told)
