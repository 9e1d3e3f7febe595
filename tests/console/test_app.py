"""The console in a real browser, and what it serves to it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from spiritsafe.console.app import ASSETS
from spiritsafe.record.log import SealedLog

TOKEN = "correct horse"
CHROMIUM = Path("/usr/bin/chromium")


@pytest.mark.parametrize("name", ASSETS)
def test_assets_are_served_by_name_alone(guest: httpx.Client, name: str) -> None:
    answer = guest.get(f"/assets/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(ASSETS[name][0])
    assert answer.content


@pytest.mark.parametrize("name", ["app.py", "..%2Fapp.py", "VENDORED.md"])
def test_nothing_else_is(guest: httpx.Client, name: str) -> None:
    assert guest.get(f"/assets/{name}").status_code == 404


def test_vendored_files_are_what_their_list_says() -> None:
    folder = files("spiritsafe.console").joinpath("vendor")
    rows = re.findall(r"\| ([\w./]+) \| ([0-9a-f]{64}) \|", folder.joinpath("VENDORED.md").read_text())
    assert len(rows) == 3
    for path, digest in rows:
        assert hashlib.sha256(folder.joinpath(path).read_bytes()).hexdigest() == digest
        assert folder.joinpath(path.split("/")[0], "LICENSE").read_text().strip()


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
def test_a_person_signs_in_watches_and_confirms(browser: object, house: Any, site: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})  # type: ignore[attr-defined]
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    log = SealedLog.open(house.data / "record")
    try:
        page.goto(site)
        page.fill("[name=person]", "Ada")
        page.fill("[name=token]", TOKEN)
        page.click("main button")
        page.wait_for_selector("#chart canvas")
        house.record(12, log=log)
        page.locator("#rate").filter(has_text=re.compile("[1-9]")).wait_for(timeout=120_000)
        house.store.confirm(house.ring.decision_id, "Bea")
        page.wait_for_selector("text=4 are suspended", timeout=120_000)
        page.goto(f"{site}/decisions/{house.ring.decision_id}")
        page.fill(".deeds [name=reason]", "a mistake")
        page.click(".deeds button")
        page.wait_for_selector(".state.reversed")
        for path in (
            "/accounts",
            "/cases",
            f"/cases/{house.case.case_id}",
            f"/accounts/{house.accounts[1].account_id}",
        ):
            page.goto(site + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.goto(f"{site}/accounts")
        page.fill("[type=search]", "hill")
        page.wait_for_selector("#part tbody:not(:has(tr + tr))")
    finally:
        log.close()
        context.close()
    assert house.store.decision(house.ring.decision_id).status == "reversed"
    assert said == []
    assert all(url.startswith(site) for url in asked)
