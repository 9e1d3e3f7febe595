"""Coders: a team's language, its services and its everyday trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.drill.grammar import Grammar
from spiritsafe.drill.tenants.types import Ask, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

GRAMMAR = Grammar(
    {
        "start": [
            "{language}: {error} in {function}, what does it mean?",
            "Write a {language} function {function} that {job}.",
            "Write a unit test for {function}, it {job}.",
            "Rename the variables in this {language} line: {snippet}",
            "Why is {function} slow when the {data} has {int:2-90} thousand rows?",
            "SQL: {query}",
            "Regex for {pattern}?",
            "Is `{snippet}` safe when {data} is empty?",
            "Commit message for: {change} in {function}",
            "How do I {operate} in {tool}?",
            "Review: {change}, any risk for {data}?",
            "Docstring for {function}, which {job}",
            "{tool} fails with exit code {int:1-139} after we {change}. Where do I look?",
            "Shorter way to write {snippet}",
        ],
        "language": ["Python", "Go", "TypeScript", "Rust", "Kotlin", "C#"],
        "error": [
            "KeyError",
            "null pointer dereference",
            "deadlock detected",
            "context deadline exceeded",
            "type mismatch",
            "index out of range",
            "connection reset",
            "borrowed value does not live long enough",
        ],
        "function": [
            "parse_invoice()",
            "load_routes()",
            "merge_calendars()",
            "resize_thumbnails()",
            "sync_stock()",
            "render_ticket()",
            "hash_upload()",
            "retry_webhook()",
            "split_address()",
            "rank_offers()",
        ],
        "job": [
            "groups orders by day",
            "removes duplicates but keeps order",
            "retries {int:2-7} times with backoff",
            "streams a file in chunks of {int:4-64} KB",
            "turns a nested dict into rows",
            "rounds prices to {int:2-4} places",
            "validates an IBAN",
            "finds overlapping intervals",
            "caches results for {int:5-90} seconds",
        ],
        "data": ["orders table", "event queue", "user list", "price feed", "audit log", "session cache"],
        "snippet": [
            "x = [i for i in a if i not in b]",
            "for i := 0; i < len(s); i++ { t += s[i] }",
            "const y = xs.map(f).filter(Boolean)[0]",
            "if (a != null && a.b != null) return a.b.c",
            "let v = m.get(&k).unwrap().clone()",
            "df = df[df.n > {int:2-30}]",
        ],
        "query": [
            "top {int:3-20} customers by revenue per month",
            "rows in orders without a match in invoices",
            "running total of stock per warehouse",
            "delete duplicates but keep the newest",
            "sessions longer than {int:5-90} minutes",
        ],
        "pattern": [
            "a date like {int:1-28}/{int:1-12}/2026",
            "a version number",
            "two words in brackets",
            "a VAT number",
            "lines that end in a semicolon",
        ],
        "change": [
            "moved the lock out of the loop",
            "dropped Python {int:8-11} support",
            "replaced the cron job",
            "made the id a string",
            "turned on strict mode",
            "pinned the base image",
        ],
        "operate": [
            "undo the last commit",
            "tail logs of one pod",
            "cache a build layer",
            "run one test",
            "bisect a regression",
            "squash {int:2-9} commits",
        ],
        "tool": ["git", "docker", "kubectl", "pytest", "cargo", "npm", "terraform", "make"],
    }
)
SYSTEMS = Grammar(
    {
        "start": [
            "You are a coding assistant in the editor of {who}, who works on {project}. Answer with {form}.",
            "Pair programmer for {project}. {who} reads it. Answer with {form}.",
            "You help {who} with {project}. Terse, {form}.",
        ],
        "who": [
            "Aleks",
            "Bea",
            "Caro",
            "Dmitri",
            "Elif",
            "Femke",
            "Gus",
            "Hana",
            "Ivo",
            "Jo",
            "Kemal",
            "Lena",
            "Mats",
            "Noor",
        ],
        "project": [
            "the ticket shop",
            "the depot planner",
            "the payroll export",
            "the map tiles",
            "the clinic calendar",
            "the price crawler",
            "the metering hub",
            "the archive search",
            "the seat picker",
            "the tax forms",
            "the parcel labels",
            "the school portal",
        ],
        "form": ["code first", "one short paragraph", "a diff", "code and no prose", "the reason first"],
    }
)


def asks(rng: Random) -> Iterator[Ask]:
    """One developer: two languages, some functions and tools of their service."""
    grammar = GRAMMAR.narrowed(rng, language=2, function=5, tool=4, data=4, start=11)
    system = SYSTEMS.draw(rng)
    while True:
        yield Ask(prompt=grammar.draw(rng), system=system, max_tokens=rng.randint(18, 30), temperature=0.2)


KIND = Kind(
    name="coder",
    about="developers of one team: one card, one office network, one editor plug-in",
    asks=asks,
    pause=8.0,
    clients=("editor-plugin/1.8 openai-node/5.1",),
)
