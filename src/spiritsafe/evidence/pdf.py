"""A report on paper: the blocks of ``document`` as a PDF, the same bytes from the same blocks."""

from __future__ import annotations

import io
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, ListFlowable, ListItem, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from spiritsafe.evidence.document import Block, Document, Heading, Points, Text

INK, SOFT, LINE = colors.HexColor("#1c1b19"), colors.HexColor("#6b675f"), colors.HexColor("#d9d4c8")
TONES = {"good": colors.HexColor("#1d6b45"), "bad": colors.HexColor("#9c2f1f")}
BODY = ParagraphStyle("body", fontName="Times-Roman", fontSize=10.5, leading=14.5, textColor=INK, spaceAfter=5)
SMALL = ParagraphStyle("small", parent=BODY, fontName="Helvetica", fontSize=8, leading=10.5, wordWrap="CJK")
TOP = ParagraphStyle("top", parent=BODY, textColor=SOFT)
SECTION = ParagraphStyle("section", parent=BODY, fontName="Times-Bold", fontSize=13, leading=17, spaceBefore=12)
MARGIN = 22 * mm


def to_pdf(document: Document) -> bytes:
    """The report as PDF: A4, with no dates or random ids. Characters that its fonts lack become a question mark."""
    out = io.BytesIO()
    made = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=_fit(document.title),
        author="Spiritsafe",
        invariant=1,
    )
    headline = ParagraphStyle(
        "headline", parent=BODY, fontName="Times-Bold", fontSize=20, leading=24, textColor=TONES.get(document.tone, INK)
    )
    story: list[Flowable] = [
        Paragraph(_fit(f"Spiritsafe  {document.title}"), TOP),
        Paragraph(_fit(document.headline), headline),
        Paragraph(_fit(document.lead), TOP),
    ]
    for block in document.blocks:
        story += _flow(block, made.width)
    made.build(story, onFirstPage=_foot, onLaterPages=_foot)
    return out.getvalue()


def _flow(block: Block, width: float) -> list[Flowable]:
    if isinstance(block, Heading):
        return [Paragraph(_fit(block.text), SECTION)]
    if isinstance(block, Text):
        return [Paragraph(_fit(block.text), BODY)]
    if isinstance(block, Points):
        items: list[Any] = [ListItem(Paragraph(_fit(item), BODY), leftIndent=12) for item in block.items]
        return [ListFlowable(items, bulletType="bullet", bulletFontSize=6, start="circle")] if items else []
    if not block.rows:
        return []
    rows = [[Paragraph(_fit(cell), SMALL) for cell in row] for row in (block.columns, *block.rows)]
    style: list[tuple[Any, ...]] = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ]
    shares = _shares(block.columns, block.rows)
    return [Grid(rows, colWidths=[width * share for share in shares], style=style, repeatRows=1), Spacer(1, 6)]


def _shares(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> list[float]:
    """Each column's share of the width, by its longest cell, none over four times another."""
    longest = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    held = [min(max(size, max(longest) / 4, 6), 60) for size in longest]
    return [size / sum(held) for size in held]


def _foot(canvas: Any, made: Any) -> None:
    canvas.setFont("Helvetica", 8)
    canvas.setFillColor(SOFT)
    canvas.drawRightString(A4[0] - MARGIN, MARGIN / 2, str(made.page))


def _fit(text: str) -> str:
    """Marked up for reportlab, in the characters that the standard fonts have."""
    return escape(text.encode("cp1252", "replace").decode("cp1252"))
