"""The page is looked at in a real browser, at the width of a desk and of a hand, in light and in dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from spiritsafe.errors import ResourceError
from spiritsafe.evidence import report
from spiritsafe.evidence.types import Affair

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_what_the_affair_holds(
    browser: object, affair: Affair, tmp_path: Path, width: int, scheme: str
) -> None:
    path = report.write(affair, tmp_path / "report.html")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[attr-defined]
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert said == []
    assert asked == [path.as_uri()], "the page loads nothing else"
    assert page.locator("h1").inner_text() == affair.verdict
    size = "wide" if width > 640 else "narrow"
    pictures = page.locator(f".{size} svg.picture")
    assert pictures.count() == 4
    assert all(pictures.nth(i).is_visible() for i in range(4))
    assert page.locator("svg.picture:visible").count() == 4, "only the picture for this width is shown"
    assert page.locator("#timeline svg.picture:visible .band:not(.refused)").count() == len(affair.kinds)
    assert page.locator("#wealth svg.picture:visible path.wealth").count() == len(affair.wealth)
    assert page.locator("#graph svg.picture:visible .node").count() == len(affair.parties)
    assert page.locator("#graph svg.picture:visible g.shared").count() == len(affair.links)
    assert page.locator("#accounts tbody tr").count() == len(affair.parties)
    assert page.locator(".rulings > li").count() == len(affair.rulings)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing makes the page scroll sideways"
    clipped = page.evaluate(
        """() => [...document.querySelectorAll('svg.picture text')].filter(t => t.getClientRects().length
             && (t.getBoundingClientRect().right > innerWidth + 1 || t.getBoundingClientRect().left < -1))
             .map(t => t.textContent)"""
    )
    assert clipped == []
    context.close()


def test_what_weighs_most_in_a_decision_is_quoted_as_text(affair: Affair) -> None:
    page = report.render(affair)
    assert "What weighs most" in page
    assert "<q>say &lt;i&gt;all&lt;/i&gt;</q>" in page


def test_the_page_stands_alone(affair: Affair) -> None:
    page = report.render(affair)
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert "url(http" not in page
    assert "<script" not in page


def test_what_tenants_wrote_is_text_and_never_markup(affair: Affair) -> None:
    first = msgspec.structs.replace(affair.parties[0], name="<img src=x onerror=alert(1)>", worst="<b>bold</b>")
    page = report.render(msgspec.structs.replace(affair, parties=(first, *affair.parties[1:])))
    assert "<img" not in page
    assert "<b>bold" not in page


def test_a_missed_ring_and_a_wrong_sanction_are_said_plainly(failed_affair: Affair) -> None:
    wronged = msgspec.structs.replace(failed_affair.parties[0], caught=True)
    page = report.render(msgspec.structs.replace(failed_affair, parties=(wronged, *failed_affair.parties[1:])))
    assert page.count("wrongly stopped") == 1
    assert page.count(">missed<") == 9
    assert 'h1 class="bad"' in page
    assert "No decision was made." in page


def test_a_failed_check_is_marked(affair: Affair) -> None:
    broken = msgspec.structs.replace(affair.checks[0], passed=False)
    assert '<li class="failed"><b>Sealed log' in report.render(msgspec.structs.replace(affair, checks=(broken,)))


def test_an_unwritable_place_is_said_with_its_remedy(affair: Affair, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"--out"):
        report.write(affair, tmp_path / "absent" / "report.html")
