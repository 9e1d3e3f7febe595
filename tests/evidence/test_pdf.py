from __future__ import annotations

import re

from spiritsafe.evidence.document import Document, Heading, Points, Table, Text
from spiritsafe.evidence.pdf import to_pdf


def report(rows: int = 2) -> Document:
    return Document(
        title="Case 7",
        headline="Nothing can be concluded.",
        lead="Asked on a Monday.",
        blocks=(
            Heading("The numbers"),
            Text("p < 1e-6 & more, 東京, naïve"),
            Points(("one", "two")),
            Points(()),
            Table(("test", "digest"), tuple((f"twins {n}", "ab12" * 24) for n in range(rows))),
            Table(("empty",), ()),
        ),
    )


def test_it_is_a_pdf_and_the_same_one_every_time() -> None:
    made = to_pdf(report())
    assert made.startswith(b"%PDF-")
    assert made.rstrip().endswith(b"%%EOF")
    assert to_pdf(report()) == made
    assert to_pdf(report(3)) != made


def test_long_tables_run_over_pages() -> None:
    def pages(document: Document) -> int:
        return len(re.findall(rb"/Type /Page\b", to_pdf(document)))

    assert pages(report()) == 1
    assert pages(report(80)) > 1
