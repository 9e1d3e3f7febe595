from __future__ import annotations

import re
from html.parser import HTMLParser

from spiritsafe.evidence.document import Document, Heading, Points, Table, Text, to_html

REPORT = Document(
    title="Case <7>",
    headline="The suspect was trained on it.",
    lead="Asked on a Monday.",
    tone="bad",
    blocks=(
        Heading("The numbers"),
        Text("p < 1e-6 & more"),
        Points(("one", "two")),
        Table(("test", "p"), (("twins", "1e-9"), ("<script>", "1"))),
        Table(("empty",), ()),
    ),
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_holds_everything_escaped() -> None:
    page = to_html(REPORT)
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert tags.seen.count("table") == 1
    assert tags.seen.count("li") == 2
    assert "script" not in tags.seen
    for words in ("Case &lt;7&gt;", "p &lt; 1e-6 &amp; more", "twins", '<h1 class="bad">'):
        assert words in page


def test_nothing_is_fetched_and_nothing_runs() -> None:
    page = to_html(REPORT)
    assert not re.search(r"https?://|@import|url\(", page)
    assert "default-src 'none'" in page
    assert to_html(REPORT) == page
