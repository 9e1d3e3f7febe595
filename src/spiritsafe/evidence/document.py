"""A report as plain blocks, written once and set twice: as a page (here) and on paper (``pdf``)."""

from __future__ import annotations

from html import escape

import msgspec

STYLE = """
:root{color-scheme:light dark;--ink:#1c1b19;--paper:#fbfaf7;--soft:#6b675f;--line:#d9d4c8;--good:#1d6b45;--bad:#9c2f1f}
@media(prefers-color-scheme:dark){
:root{--ink:#e9e6df;--paper:#171614;
--soft:#a39e93;--line:#3a372f;--good:#7cc9a0;--bad:#ef9a8a}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 Georgia,"Times New Roman",serif}
main{max-width:46rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:2rem;line-height:1.2;margin:.4rem 0}h1.good{color:var(--good)}h1.bad{color:var(--bad)}
h2{font-size:1.25rem;margin:2.2rem 0 .5rem;border-top:1px solid var(--line);padding-top:1.2rem}
.running,.lead{color:var(--soft)}.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font:14px/1.4 system-ui,sans-serif}
th{text-align:left;color:var(--soft);font-weight:600}th,td{padding:.35rem .7rem .35rem 0;
border-bottom:1px solid var(--line);
vertical-align:top;overflow-wrap:anywhere}li{margin:.3rem 0}
@media print{body{background:#fff;color:#000}main{padding:0}}
"""


class Heading(msgspec.Struct, frozen=True, tag="heading"):
    """Begins a section."""

    text: str


class Text(msgspec.Struct, frozen=True, tag="text"):
    """One paragraph."""

    text: str


class Points(msgspec.Struct, frozen=True, tag="points"):
    """A list of sentences."""

    items: tuple[str, ...]


class Table(msgspec.Struct, frozen=True, tag="table"):
    """Rows under column names; no rows, no table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Heading | Text | Points | Table


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A report. ``tone`` is ``good``, ``bad`` or nothing: how the headline is to be read at a glance."""

    title: str
    headline: str
    lead: str
    blocks: tuple[Block, ...]
    tone: str = ""


def to_html(document: Document) -> str:
    """One self-contained page: no script, no outside resource, light, dark and on paper."""
    body = "".join(map(_html, document.blocks))
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<title>{escape(document.title)}</title>\n<link rel="icon" href="data:,">\n<style>{STYLE}</style>\n'
        f'</head>\n<body>\n<main>\n<p class="running"><b>Spiritsafe</b> {escape(document.title)}</p>\n'
        f'<h1 class="{escape(document.tone)}">{escape(document.headline)}</h1>\n'
        f'<p class="lead">{escape(document.lead)}</p>\n{body}</main>\n</body>\n</html>\n'
    )


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h2>{escape(block.text)}</h2>\n"
    if isinstance(block, Text):
        return f"<p>{escape(block.text)}</p>\n"
    if isinstance(block, Points):
        return "<ul>\n" + "".join(f"<li>{escape(item)}</li>\n" for item in block.items) + "</ul>\n"
    if not block.rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in block.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in block.rows)
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n'
