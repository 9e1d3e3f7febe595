"""Persons: a few interests each, asked about in their own voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.drill.grammar import Grammar
from spiritsafe.drill.tenants.types import Ask, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

INTERESTS = {
    "cooking": Grammar(
        {
            "start": [
                "What can I cook with {food} and {food} in {int:15-50} minutes?",
                "How do I keep {food} from {mishap}?",
                "Can I replace {pantry} with {pantry} in {dish}?",
                "How long does {dish} keep in the fridge?",
                "My {dish} came out too {flaw}, what went wrong?",
                "Give me a simple {dish} for {int:2-9} people.",
                "What goes well with {dish} on a {weather} evening?",
            ],
            "food": [
                "lentils",
                "leftover rice",
                "aubergine",
                "chickpeas",
                "salmon",
                "spinach",
                "eggs",
                "pumpkin",
                "leeks",
            ],
            "mishap": ["sticking to the pan", "drying out", "turning mushy", "splitting", "going brown"],
            "pantry": ["butter", "buttermilk", "cornflour", "honey", "red wine", "tahini", "vinegar", "yeast", "cream"],
            "dish": [
                "risotto",
                "shakshuka",
                "lemon cake",
                "fish soup",
                "focaccia",
                "dal",
                "apple crumble",
                "goulash",
                "pancakes",
            ],
            "flaw": ["salty", "dry", "watery", "bitter", "dense", "bland"],
            "weather": ["rainy", "hot", "cold", "busy"],
        }
    ),
    "travel": Grammar(
        {
            "start": [
                "Is {place} worth a visit in {month}?",
                "How would you spend {int:2-6} days in {place} {company}?",
                "What is the best way to get from {place} to {place} without flying?",
                "Which part of {place} is quiet but close to the centre?",
                "What should I pack for {place} in {month}?",
                "Do people tip in {place}?",
                "Name a museum in {place} that {company} would enjoy.",
            ],
            "place": [
                "Lisbon",
                "Ghent",
                "Kyoto",
                "Oaxaca",
                "Tbilisi",
                "Trieste",
                "Bergen",
                "Hanoi",
                "Porto",
                "Ljubljana",
                "Valparaiso",
            ],
            "month": ["January", "March", "May", "late June", "August", "October", "December"],
            "company": [
                "with a toddler",
                "with my parents",
                "alone",
                "with two teenagers",
                "on a small budget",
                "with a dog",
            ],
        }
    ),
    "garden": Grammar(
        {
            "start": [
                "Why do my {plant} have {trouble}?",
                "When should I plant {plant} if we still get frost in {month}?",
                "Can {plant} and {plant} share a bed?",
                "How often do I water {plant} on a {spot}?",
                "What eats {plant} at night and how do I stop it kindly?",
                "Is it too late in {month} to prune {plant}?",
            ],
            "plant": [
                "tomatoes",
                "roses",
                "hydrangeas",
                "beans",
                "basil",
                "courgettes",
                "raspberries",
                "lavender",
                "fig trees",
                "peonies",
            ],
            "trouble": ["yellow leaves", "white spots", "curled leaves", "no flowers", "black stems", "tiny holes"],
            "month": ["February", "April", "May", "September", "November"],
            "spot": ["south facing balcony", "shady patio", "windy roof", "clay slope", "kitchen sill"],
        }
    ),
    "home": Grammar(
        {
            "start": [
                "How do I get {stain} out of {fabric}?",
                "My {machine} makes a {noise} noise, what could it be?",
                "Can I put {thing} on a wall made of {wall}?",
                "The {machine} smells of {smell}. Is that dangerous?",
                "What is the cheapest way to {improve}?",
                "How many litres of paint for a room of {int:9-34} square metres?",
            ],
            "stain": ["red wine", "candle wax", "ink", "rust", "grass", "coffee", "chewing gum"],
            "fabric": ["a wool rug", "linen trousers", "the sofa", "a silk blouse", "the car seat", "an oak table"],
            "machine": ["washing machine", "boiler", "fridge", "dishwasher", "extractor hood", "radiator"],
            "noise": ["grinding", "clicking", "whistling", "knocking", "humming"],
            "thing": ["a heavy mirror", "floating shelves", "a pull up bar", "a bike hook"],
            "wall": ["plasterboard", "old brick", "concrete", "lath and plaster"],
            "smell": ["burnt plastic", "damp", "rotten eggs", "wet dog"],
            "improve": [
                "stop a draught under a door",
                "make a north room brighter",
                "quiet a stair",
                "insulate a loft",
            ],
        }
    ),
    "health": Grammar(
        {
            "start": [
                "My {part} hurts after {activity}. Should I rest it?",
                "Is {int:4-9} hours of sleep enough at {int:19-74}?",
                "What helps against {ailment} besides medicine?",
                "How soon can I go back to {activity} after {ailment}?",
                "Are {snack} a good snack before {activity}?",
                "When should one see a doctor about {ailment}?",
            ],
            "part": ["knee", "lower back", "left shoulder", "heel", "wrist", "neck"],
            "activity": ["running", "swimming", "gardening", "a long drive", "climbing", "typing all day", "yoga"],
            "ailment": ["a cold", "hay fever", "migraine", "heartburn", "a sprained ankle", "jet lag", "a dry cough"],
            "snack": ["dates", "bananas", "salted nuts", "rice cakes", "boiled eggs"],
        }
    ),
    "letters": Grammar(
        {
            "start": [
                "Write a {tone} note to {whom} about {matter}.",
                "How do I tell {whom} that {news}?",
                "Make this {tone}: '{news}, and I wanted you to know.'",
                "A subject line for a mail to {whom} about {matter}?",
                "Is it rude to ask {whom} about {matter} twice?",
                "Three short lines for a card to {whom}, who {event}.",
            ],
            "tone": ["friendly", "formal", "short", "warm", "firm but polite", "light"],
            "whom": [
                "my landlord",
                "my sister",
                "a new colleague",
                "the school",
                "our neighbours",
                "an old friend",
                "my boss",
            ],
            "matter": [
                "the broken lift",
                "a late payment",
                "next Saturday",
                "the shared garden",
                "my holiday",
                "the noise at night",
            ],
            "news": [
                "I can't make it on Friday",
                "we are moving out",
                "I have changed my mind",
                "the plan has to wait",
                "I am running late",
            ],
            "event": ["just retired", "had a baby", "moved to the coast", "passed an exam", "turned {int:30-90}"],
        }
    ),
    "culture": Grammar(
        {
            "start": [
                "A {genre} for someone who liked {quality} stories?",
                "What is {work} about, without spoilers?",
                "Who {made} {work}?",
                "Is {work} suitable for a child of {int:6-14}?",
                "What should I listen to after {music}?",
                "Why is {work} considered a classic?",
            ],
            "genre": ["crime novel", "documentary", "board game", "comic", "short film", "podcast", "memoir"],
            "quality": ["slow", "funny", "dark", "hopeful", "strange", "seafaring"],
            "work": [
                "Middlemarch",
                "The Magic Flute",
                "Solaris",
                "Seven Samurai",
                "Moby Dick",
                "Persepolis",
                "The Tempest",
                "Metropolis",
            ],
            "made": ["wrote", "inspired", "first translated", "made the best film of"],
            "music": ["Nina Simone", "Bach's cello suites", "Fela Kuti", "Kraftwerk", "Cesaria Evora", "Erik Satie"],
        }
    ),
    "world": Grammar(
        {
            "start": [
                "Why {wonder}?",
                "What is the difference between {pair}?",
                "Explain {idea} like I am {int:6-15}.",
                "When did people start using {invention}?",
                "Is it true that {belief}?",
                "How far is {far} and who first measured it?",
            ],
            "wonder": [
                "is the sea salty",
                "do cats purr",
                "is the sky red at dusk",
                "do leaves fall",
                "does bread go stale",
                "do we yawn",
                "is glass clear",
            ],
            "pair": [
                "a frog and a toad",
                "weather and climate",
                "a lake and a lagoon",
                "jam and marmalade",
                "a violin and a fiddle",
                "moss and lichen",
            ],
            "idea": ["inflation", "gravity", "photosynthesis", "an eclipse", "a mortgage", "tides", "vaccines"],
            "invention": ["forks", "paper money", "clocks", "soap", "umbrellas", "pockets", "spectacles"],
            "belief": [
                "bats are blind",
                "lightning never strikes twice",
                "goldfish forget at once",
                "honey never spoils",
                "we use a tenth of our brain",
            ],
            "far": ["the moon", "the horizon", "the edge of the air", "the nearest star"],
        }
    ),
    "children": Grammar(
        {
            "start": [
                "A bedtime story about {hero} who {deed}.",
                "My {int:2-11} year old refuses to {chore}. Ideas?",
                "A game for {int:3-10} kids and {prop}, indoors.",
                "How do I explain {topic} to a child of {int:3-9}?",
                "A riddle whose answer is {prop}.",
                "What present under {int:10-60} euros for a child who loves {hobby}?",
            ],
            "hero": ["a shy dragon", "a lighthouse", "two snails", "a lost button", "a baker's cat", "a robot"],
            "deed": ["learns to whistle", "misses the bus", "finds a map", "is afraid of rain", "opens a shop"],
            "chore": ["brush their teeth", "eat soup", "wear shoes", "go to bed", "share toys", "do homework"],
            "prop": ["a rope", "a balloon", "chalk", "an old sheet", "ten spoons", "a torch"],
            "topic": ["where grandpa is now", "money", "thunder", "why we moved", "sharing"],
            "hobby": ["beetles", "space", "drawing", "trains", "football", "magic tricks"],
        }
    ),
    "work": Grammar(
        {
            "start": [
                "How do I answer '{question}' in a job interview for {job}?",
                "Is {int:2-9} weeks of notice normal for {job}?",
                "What should a {job} earn in {place}?",
                "How can I say no to {burden} without sounding lazy?",
                "Suggest {int:2-5} titles for a talk on {talk}.",
                "Can my employer ask me to {demand}?",
            ],
            "question": [
                "why do you want to leave",
                "what is your weakness",
                "where do you see yourself",
                "why the gap in your CV",
            ],
            "job": [
                "nurse",
                "surveyor",
                "bookkeeper",
                "shop manager",
                "landscape architect",
                "lab technician",
                "bus driver",
            ],
            "place": ["a small town", "the north", "a big city", "the public sector"],
            "burden": ["weekend shifts", "another committee", "training a new hire", "a late call"],
            "talk": ["repairing bicycles", "quiet offices", "bees on roofs", "older workers", "local archives"],
            "demand": ["use my own phone", "share my calendar", "work on a holiday", "move desks"],
        }
    ),
}
LEADS = ("", "", "", "", "hi, ", "hello! ", "quick question: ", "sorry if this is silly, ", "ok so ", "hey ")
TAILS = ("", "", "", "", "", " Thanks!", " Please keep it short.", " thank you", " Just a line or two.", " cheers")


def asks(rng: Random) -> Iterator[Ask]:
    """Two to four interests, with one habit of opening, closing and spelling."""
    interests = [grammar.narrowed(rng, start=5) for grammar in rng.sample(list(INTERESTS.values()), rng.randint(2, 4))]
    leads, tails = rng.sample(LEADS, 3), rng.sample(TAILS, 3)
    lower, heat = rng.random() < 0.35, rng.choice((0.6, 0.7, 0.8, 1.0))
    while True:
        text = rng.choice(interests).draw(rng)
        lead = rng.choice(leads)
        text = lead + (text[0].lower() + text[1:] if lead and not text.startswith("I ") else text) + rng.choice(tails)
        yield Ask(prompt=text.lower() if lower else text, max_tokens=rng.randint(16, 28), temperature=heat)


KIND = Kind(
    name="person",
    about="asks about a few interests of their own, in their own voice",
    asks=asks,
    pause=8.0,
    clients=("Mozilla/5.0 (chat)", "okhttp/4.12", "openai-python/2.4", "Mozilla/5.0 (chat; mobile)"),
)
