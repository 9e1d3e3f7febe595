"""Agents: a loop that names its tools, its state and asks for the next step in a fixed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.drill.grammar import Grammar
from spiritsafe.drill.tenants.types import Ask, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

ERRANDS = {
    "calendar": Grammar(
        {
            "start": [
                "goal: {goal}; last: {event}; free: {day} {int:8-18}:00. next call?",
                "tool result {call} -> {event}. next call?",
                "user said '{said}'. choose one tool",
                "conflict: {event} and {event} on {day}. next call?",
            ],
            "goal": ["book the dentist", "move the stand-up", "plan a call with {int:2-6} people", "block focus time"],
            "event": [
                "{int:2-9} invitations sent",
                "room {int:100-420} taken",
                "no reply from Eva",
                "slot {day} is free",
                "travel {int:15-90} min",
            ],
            "call": ["list_events", "find_slot", "send_invite", "move_event"],
            "said": ["make it later", "not on {day}", "add Omar", "cancel that"],
            "day": ["Mon", "Tue", "Wed", "Thu", "Fri"],
        }
    ),
    "shop": Grammar(
        {
            "start": [
                "stock of {item}: {int:0-300}, sold {int:1-90} a week. next call?",
                "tool result {call} -> {item} {int:2-99}.50 at {seller}. next call?",
                "order {int:1000-9999}: {trouble}. choose one tool",
                "compare {item} and {item} for under {int:20-400}. next call?",
            ],
            "item": ["filter paper", "oat milk", "bin bags", "printer ink", "lamp oil", "safety gloves", "labels"],
            "call": ["search_price", "get_stock", "open_ticket", "place_order"],
            "seller": ["Norval", "Tinker & Co", "Osmia", "Hallway"],
            "trouble": ["{int:1-9} missing", "wrong colour", "paid twice", "returned", "late by {int:2-9} days"],
        }
    ),
    "ops": Grammar(
        {
            "start": [
                "alert {alert} on {host}, value {int:61-99}%. next call?",
                "tool result {call} -> {fact}. next call?",
                "{int:2-40} {host} nodes report {fact}. choose one tool",
                "deploy {int:100-999} of {host}: {fact}. next call?",
            ],
            "alert": ["disk_full", "cpu_high", "cert_expiring", "queue_lag", "error_rate"],
            "host": ["mail", "search", "billing", "cdn", "auth", "batch"],
            "call": ["get_logs", "restart", "scale", "page_oncall"],
            "fact": ["{int:2-99} timeouts", "healthy", "restarted {int:1-9} times", "version skew", "no change"],
        }
    ),
}
SYSTEM = "You are agent {name} of {owner}. Tools: {tools}. Reply with one JSON call."
OWNERS = ("Bluefin", "Cobalt", "Drift", "Ember", "Fathom", "Gantry", "Harrow", "Inlet", "Juniper", "Keystone", "Larch")


def asks(rng: Random) -> Iterator[Ask]:
    """One errand loop with its tools named in the system prompt."""
    errand = ERRANDS[rng.choice(list(ERRANDS))]
    name, owner = f"{rng.choice('abcdefgh')}{rng.randint(10, 99)}", rng.choice(OWNERS)
    system = SYSTEM.format(name=name, owner=owner, tools=", ".join(errand.rules["call"]))
    while True:
        yield Ask(prompt=errand.draw(rng), system=system, max_tokens=16, temperature=0.0)


KIND = Kind(
    name="agent",
    about="an automated loop that asks for its next tool call",
    asks=asks,
    pause=4.0,
    clients=("agent-runtime/0.9 openai-python/2.4",),
    sorts=len(ERRANDS),
)
