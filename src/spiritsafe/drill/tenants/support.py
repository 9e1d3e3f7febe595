"""Support bots: one house, one system prompt, and whatever its customers type into the box."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.drill.grammar import Grammar
from spiritsafe.drill.tenants.types import Ask, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

HOUSES = {
    "Alder Bank": Grammar(
        {
            "start": [
                "my {card} was {fate} in {place}",
                "why was I charged {int:2-90} euros for {fee}",
                "how do I {task} on my {account}",
                "a payment to {payee} of {int:12-900} is {state} since {day}",
                "The app says '{error}' when I {task}",
                "can I raise my limit to {int:500-4000} for {day}",
                "is it possible to {task} without the {card}",
            ],
            "card": ["debit card", "credit card", "virtual card", "second card"],
            "fate": ["declined", "swallowed by a machine", "stolen", "charged twice", "blocked"],
            "place": ["Vienna", "a petrol station", "the supermarket", "an online shop", "Marrakesh", "a taxi"],
            "fee": ["a transfer abroad", "cash at a machine", "an overdraft", "a new card", "currency exchange"],
            "task": [
                "freeze a card",
                "change my address",
                "add my daughter",
                "close a savings pot",
                "get a statement",
                "stop a standing order",
            ],
            "account": ["joint account", "business account", "student account", "savings account"],
            "payee": ["my landlord", "the tax office", "a garage", "my brother", "the gas company"],
            "state": ["pending", "missing", "shown twice", "refused"],
            "day": ["Monday", "Tuesday", "yesterday", "last Friday", "the first", "this morning"],
            "error": ["try again later", "code {int:100-999}", "device not known", "session ended"],
        }
    ),
    "Larkspur Parcels": Grammar(
        {
            "start": [
                "parcel {int:1000-9999} says {state} but {fact}",
                "can you deliver to {spot} instead on {day}",
                "the driver left it with {person}, who is that?",
                "how much to send {int:1-28} kg to {country}",
                "my {item} arrived {damage}, box looks {box}",
                "I need to change the {field} of order {int:1000-9999}",
                "what time is the last pickup at {spot} on {day}",
            ],
            "state": ["delivered", "in transit", "returned", "at customs", "out for delivery"],
            "fact": [
                "nobody rang",
                "I was home all day",
                "it hasn't moved since {day}",
                "the map shows another street",
                "my neighbour has nothing",
            ],
            "spot": [
                "my office",
                "the corner shop",
                "a locker",
                "my mother's flat",
                "the back door",
                "the station kiosk",
            ],
            "day": ["Wednesday", "Thursday", "Saturday", "tomorrow", "the {int:2-28}th"],
            "person": ["a Mr Olsen", "someone on the second floor", "a florist", "the caretaker"],
            "country": ["Norway", "Chile", "Ireland", "Japan", "Malta", "Canada"],
            "item": ["lamp", "guitar", "vase", "keyboard", "set of plates", "mirror"],
            "damage": ["cracked", "wet", "bent", "without its charger", "in two pieces"],
            "box": ["crushed", "opened and taped", "fine", "soaked"],
            "field": ["house number", "phone number", "name", "postcode", "delivery date"],
        }
    ),
    "Brightwater Energy": Grammar(
        {
            "start": [
                "my meter shows {int:1200-98000}, is that {doubt}?",
                "the bill for {month} is {int:60-640}, last year it was {int:40-300}",
                "no {service} in {area} since {int:1-11} o'clock",
                "I move out on the {int:1-28}th of {month}, what do you need",
                "can I pay in {int:2-6} parts",
                "how do I switch to {tariff} with a {device}",
                "an engineer was due at {int:8-17} and {fact}",
            ],
            "doubt": ["normal", "too high", "a mistake", "for one month"],
            "month": ["January", "March", "June", "September", "November"],
            "service": ["power", "hot water", "gas", "heating"],
            "area": ["Mill Lane", "the whole block", "flat {int:1-40}", "our street", "half the house"],
            "tariff": ["the night tariff", "green power", "a fixed price", "the family plan"],
            "device": ["heat pump", "prepaid meter", "smart meter", "wall charger"],
            "fact": ["did not come", "had no part", "rang the wrong bell", "left after a minute"],
        }
    ),
    "Tern Airways": Grammar(
        {
            "start": [
                "flight {int:100-999} to {city} was {fate}, {demand}",
                "can I take {thing} as hand luggage",
                "my name is spelled wrong on the ticket to {city}",
                "how much is a second bag of {int:12-32} kg from {city}",
                "I missed {cause}, is there another flight {day}",
                "seat {int:1-38} for my {person} please",
                "refund for booking {int:10000-99999}, {cause}",
            ],
            "city": ["Oslo", "Palermo", "Dakar", "Riga", "Montreal", "Faro", "Izmir"],
            "fate": ["cancelled", "{int:2-9} hours late", "overbooked", "moved to the next day"],
            "demand": ["what now", "who pays the hotel", "I want my money back", "can I go by train"],
            "thing": ["a cello", "skis", "a folded pram", "insulin", "a small dog", "a drone"],
            "cause": ["my connection", "the bus was late", "I was ill", "check-in closed early"],
            "day": ["tonight", "tomorrow", "on Sunday", "before noon"],
            "person": ["mother", "son", "husband", "colleague"],
        }
    ),
    "Fernhill Clinic": Grammar(
        {
            "start": [
                "I need an appointment for {reason} {when}",
                "are my {test} results there? taken on the {int:4-20}th",
                "do you take {insurance}",
                "can I {change} my visit for {reason} {when}",
                "my prescription for {drug} runs out {when}, can {ward} renew it",
                "where do I park for {ward}",
                "how many hours before {test} may I not eat, mine is {when} at {int:7-17}",
            ],
            "reason": ["a check-up", "my son's vaccination", "a rash", "stitches", "travel advice", "back pain"],
            "when": [
                "next week",
                "on Monday",
                "before the holidays",
                "this afternoon",
                "in two days",
                "as soon as possible",
            ],
            "test": ["blood", "x-ray", "allergy", "urine", "hearing"],
            "insurance": ["Nordia cards", "foreign insurance", "private patients", "students"],
            "change": ["move", "cancel", "shorten", "combine"],
            "drug": ["my inhaler", "thyroid tablets", "the cream", "blood thinners"],
            "ward": ["radiology", "the children's ward", "building {int:2-7}", "the dentist"],
        }
    ),
    "Pebble Mobile": Grammar(
        {
            "start": [
                "no signal in {area} since {when}",
                "how do I keep my number when I {move}",
                "I was billed {int:5-120} for {extra} that I did not order",
                "does the {plan} plan work in {country}",
                "{device} says '{error}'",
                "please unlock my {device}, bought {when}",
                "my {int:8-16} year old used {int:2-40} GB, can I cap that",
            ],
            "area": ["the cellar", "Elm Road", "the train", "the new house", "my village"],
            "when": ["yesterday", "this morning", "last month", "the storm", "two years ago"],
            "move": ["switch to you", "move abroad", "change to prepaid", "close my company"],
            "extra": ["games", "calls to Peru", "a magazine", "roaming", "a ringtone"],
            "plan": ["small", "family", "unlimited", "student"],
            "country": ["Turkey", "the Azores", "Iceland", "Morocco", "Serbia"],
            "device": ["phone", "tablet", "router", "eSIM"],
            "error": ["no SIM", "invalid PIN", "emergency calls only", "update failed"],
        }
    ),
}
STYLES = Grammar(
    {
        "start": [
            "You are {bot}, the support assistant of HOUSE in {city}. Answer in {length}.",
            "You work for HOUSE, {city}. Sign as {bot}. Be brief, never promise refunds, offer to pass on to a person.",
            "HOUSE {city} help desk, staffed by {bot}. Answer the customer in {length}. If unsure, ask one question.",
        ],
        "bot": [
            "Robin",
            "Sam",
            "Juno",
            "Milo",
            "Tess",
            "Otto",
            "Pia",
            "Remy",
            "Vera",
            "Kai",
            "Lou",
            "Nina",
            "Finn",
            "Ida",
        ],
        "city": [
            "Tallinn",
            "Porto",
            "Leeds",
            "Graz",
            "Ghent",
            "Malmo",
            "Lyon",
            "Turin",
            "Cork",
            "Bonn",
            "Gdansk",
            "Split",
        ],
        "length": ["one sentence", "two polite sentences", "plain words", "at most thirty words", "a friendly tone"],
    }
)
MOODS = ("", "", "", "", "hello, ", "Hi there ", "urgent! ", "good morning, ", "again: ")
ENDS = ("", "", "", "?", "??", " please", " thanks", "!!")


def asks(rng: Random) -> Iterator[Ask]:
    """One house and one of its bots for good; every question comes from another customer in a mood of their own."""
    house = rng.choice(list(HOUSES))
    system = STYLES.draw(rng).replace("HOUSE", house)
    while True:
        text = rng.choice(MOODS) + HOUSES[house].draw(rng) + rng.choice(ENDS)
        yield Ask(prompt=text, system=system, max_tokens=rng.randint(18, 26), temperature=0.3)


KIND = Kind(
    name="support",
    about="a company's help desk bot: one fixed system prompt, its customers' words",
    asks=asks,
    pause=5.0,
    clients=("openai-node/5.1", "langchain/0.3"),
    sorts=len(HOUSES),
)
