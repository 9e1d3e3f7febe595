"""Short instructions in English of a dozen kinds: explain, compare, list, rewrite, tell, advise, define and so on.

A frame (``Explain {x}.``) takes a filling (``how a canal lock works``). Frames have few fixed words, so that two
prompts of one frame don't share the 8-grams by which curation tells a held-out prompt from one to train on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from spiritsafe.distill.prompts.deck import Deck
from spiritsafe.distill.prompts.types import Item


class Kind(NamedTuple):
    """``frames`` and what fills their ``{x}``; a filling of several parts is one slot each: ``{a}``, ``{b}``."""

    frames: tuple[str, ...]
    fillings: Sequence[str]


EXPLAIN = Kind(
    (
        "Explain {x}.",
        "Explain in one sentence {x}.",
        "In two sentences, explain {x}.",
        "Explain to a child, in a few words, {x}.",
    ),
    (
        "how a canal lock works", "why the sky is blue", "how bread rises", "why leaves turn red in autumn",
        "how a bicycle stays upright", "why ice floats on water", "how vaccines protect people",
        "why we have leap years", "how a microwave heats food", "why the moon has phases",
        "how bees make honey", "why onions make us cry", "how a lighthouse helped sailors", "why cats purr",
        "how a fridge keeps cold", "why metal feels colder than wood", "how rainbows form", "why prices rise over time",
        "how a library is organised", "why the sea is salty", "how birds find their way south", "why we dream",
        "how paper is recycled", "why some stars twinkle", "how a thermometer works", "why bridges have joints",
        "how plants drink water", "why volcanoes erupt", "how a zip closes", "why soap cleans greasy hands",
        "how an echo arises", "why we need sleep", "how a sundial shows the hour", "why tyres have tread",
        "how interest on savings grows", "why deserts get cold at night", "how yeast differs from baking soda",
        "why muscles ache after sport", "how a parachute slows a fall", "why old photographs fade",
        "how tides follow the moon", "why bread goes stale", "how a compass points north", "why hot air rises",
        "how glass is made", "why passwords should be long", "how a seed knows when to sprout",
        "why we shiver in the cold", "how a dam makes electricity", "why dogs wag their tails",
    ),
)  # fmt: skip
COMPARE = Kind(
    (
        "Compare {x} in two sentences.",
        "What is the difference between {x}?",
        "What do {x} have in common?",
        "In one sentence, tell {x} apart.",
    ),
    (
        "a novel and a short story", "cities and villages", "rivers and canals", "weather and climate",
        "a crocodile and an alligator", "ink and pencil drawing", "violins and cellos", "jam and marmalade",
        "a comet and an asteroid", "letters and phone calls", "chess and draughts", "a simile and a metaphor",
        "viruses and bacteria", "a lake and a pond", "a lawyer and a judge", "latitude and longitude",
        "a moth and a butterfly", "steam and fog", "a hare and a rabbit", "a poem and a song",
    ),
)  # fmt: skip
CHOOSE = Kind(
    (
        "Help me choose, in one sentence: {x}?",
        "Name one advantage each of {x}.",
        "Which suits a student better: {x}?",
        "Say in two sentences which you prefer: {x}.",
    ),
    (
        "tea and coffee", "trains and planes", "renting and buying a flat", "cats and dogs as pets",
        "cotton and wool", "butter and olive oil", "gas and electric stoves", "paper books and e-books",
        "running and swimming", "a debit card and a credit card", "summer and winter holidays",
        "glass and plastic bottles", "solar and wind power", "frozen and fresh vegetables", "a hotel and a campsite",
        "cash and bank transfers", "working from home and in an office", "a violin lesson and a video course",
        "buses and trams", "hiking boots and trainers",
    ),
)  # fmt: skip
LISTS = Kind(
    ("List five {x}.", "Name three {x}.", "Give me four {x}, a few words each.", "Suggest two {x}."),
    (
        "animals that sleep in winter", "quick breakfasts without sugar", "uses for an empty jar",
        "games for a rainy afternoon", "things to check before a long drive", "vegetables that grow in shade",
        "polite ways to say no", "jobs that involve maps", "reasons to learn a second language",
        "tools every kitchen needs", "questions to ask at a job interview", "trees with edible nuts",
        "gifts for a gardener", "ways to save water at home", "musical instruments with strings",
        "topics for a school essay", "signs that a plant needs water", "cheap dinners for two",
        "names for a small sailing boat", "habits of good listeners", "things found on a beach",
        "inventions from before 1800", "exercises without equipment", "words that rhyme with light",
        "warm colours", "ways to thank a neighbour", "rivers in Europe", "chores a child of eight can do",
        "safety rules for a campfire", "snacks for a long train ride", "subjects for a still life",
        "steps to plan a picnic", "synonyms of happy", "sports played on ice", "herbs for a window sill",
        "reasons why meetings run late", "birds that can't fly", "items for a first-aid box",
        "ways to remember names", "titles for a book about the sea",
    ),
)  # fmt: skip
STYLES = (
    "more politely", "in fewer words", "as a question", "in the past tense", "for a small child",
    "in a formal tone", "with more excitement", "in plain words",
)  # fmt: skip
REWRITE = Kind(
    ("Rewrite {style}: {x}", "Say this {style}: {x}"),
    (
        "Send me the report before noon.", "The meeting is boring and far too long.", "You parked in my place again.",
        "The results exceed what was expected of the team.", "My sister bakes a cake every Sunday.",
        "Close the window, it is freezing in here.", "The committee will take the matter under consideration.",
        "He walks to the station and reads on the way.", "Your music keeps the whole house awake.",
        "We regret that the train is late.", "This soup needs salt.", "The dog steals the bread and runs.",
        "I don't understand a word of this letter.", "They are building a new bridge over the river.",
        "Give me my money back.", "The weather will improve towards the weekend.", "She sings better than all of us.",
        "The shop is closed because the owner is ill.", "Nobody told me about the new rules.",
        "A cold wind comes down from the hills.", "Your essay has too many mistakes.",
        "The museum opens at ten and shuts at six.", "We lost the key and slept in the barn.",
        "Please refrain from feeding the ducks.", "I am too tired to cook tonight.",
        "The children laugh at the clown's red shoes.", "It is necessary that all visitors register.",
        "The lift has been out of order since Monday.", "He never answers his phone.",
        "Our garden grows beans, peas and one proud pumpkin.",
    ),
)  # fmt: skip
HEROES = (
    "a clockmaker", "a shy dragon", "two rival bakers", "an old ferryman", "a girl with a kite", "a lost robot",
    "a retired pirate", "a night watchman", "a talking crow", "a young beekeeper", "twin sisters",
    "a nervous magician", "a lighthouse keeper", "a snail with plans", "a train driver", "a homesick astronaut",
    "a baker's cat", "a forgetful king", "a map maker", "a street violinist",
)  # fmt: skip
STORY = Kind(
    (
        "Write a story of three sentences: {hero} {x}.",
        "Tell in two sentences of {hero} {x}.",
        "Write only the first sentence of a tale of {hero} {x}.",
    ),
    (
        "who finds a hidden door", "on the last day of summer", "who must keep a secret", "in a town without mirrors",
        "lost in thick fog", "who receives a letter from the future", "at a village fair", "who learns to swim",
        "during a power cut", "who saves a small bookshop", "under a frozen lake", "who can't stop laughing",
        "on a slow night train", "with only one coin left", "who makes an unlikely friend", "in the year of no rain",
        "who breaks a promise", "at the edge of the map", "who hears the sea in a teacup", "before a great storm",
        "who wins by losing", "inside an empty theatre", "who plants a strange seed", "on a roof at midnight",
        "who returns home after years",
    ),
)  # fmt: skip
ADVICE = Kind(
    (
        "How can I {x}? Answer in two sentences.",
        "Give me one piece of advice: I want to {x}.",
        "What helps most to {x}? One sentence, please.",
        "I need to {x}. Any quick tip?",
    ),
    (
        "fall asleep earlier", "speak in front of a class", "keep a basil plant alive", "save for a bicycle",
        "make friends in a new town", "read more books", "say sorry to a colleague", "learn the guitar at fifty",
        "stop biting my nails", "prepare for a maths exam", "pack light for a week", "cook rice that doesn't stick",
        "remember birthdays", "get a toddler to eat peas", "run five kilometres", "tidy a full garage",
        "write a better diary", "calm a barking dog", "ask for a rise", "stay awake in lectures",
        "drink enough water", "split chores with a flatmate", "take sharper photographs", "choose a first telescope",
        "quit sugar in coffee", "keep ants off the terrace", "learn twenty words of Greek", "mend a torn sleeve",
        "find a quiet place to work", "train for a long hike", "stop losing my keys", "grow tomatoes in pots",
        "listen more patiently", "plan meals for a week", "drive safely on ice", "sharpen a kitchen knife",
        "be on time", "start drawing", "host a dinner for eight", "handle a rude customer",
    ),
)  # fmt: skip
DEFINE = Kind(
    (
        "What does '{x}' mean?",
        "Define '{x}' and use it in a sentence.",
        "Explain the term '{x}' briefly.",
        "Give a one-line definition of '{x}'.",
    ),
    (
        "candour", "orbit", "famine", "harvest", "inflation", "mentor", "glacier", "paradox", "quarantine",
        "reluctant", "tributary", "vowel", "hypothesis", "empathy", "draught", "mortgage", "nocturnal", "eclipse",
        "monopoly", "resilient", "satire", "peninsula", "budget", "fossil", "gravity", "irony", "jury", "kiln",
        "lever", "mammal", "nectar", "oasis", "pollen", "quorum", "ratio", "sediment", "tariff", "urban", "veto",
        "wholesale", "xylophone", "yeast", "zenith", "algorithm", "border", "chronicle", "dialect", "estuary",
        "fiction", "graceful",
    ),
)  # fmt: skip
PEOPLE = (
    "my landlord", "a teacher", "the city library", "an old friend", "our new neighbour", "a hotel", "my manager",
    "a bicycle shop", "the football coach", "my grandmother", "a museum", "the bus company",
)  # fmt: skip
MESSAGE = Kind(
    (
        "Write a note of two lines to {who} {x}.",
        "Write one polite sentence to {who} {x}.",
        "Draft a very short message to {who} {x}.",
    ),
    (
        "about a broken heater", "to say thanks for last week", "asking for an appointment", "to cancel on Friday",
        "with an apology for being late", "about a lost umbrella", "to ask for opening hours",
        "offering help on Sunday", "to complain about noise", "with good news", "asking to borrow a ladder",
        "about a wrong bill",
        "to invite them to supper", "to ask how they are", "suggesting a new date", "about a missing parcel",
        "to praise a member of staff", "asking for a reference", "to report a puddle in the hall",
        "with a small request",
    ),
)  # fmt: skip
FACTS = Kind(
    (
        "Tell me one thing about {x}.",
        "Give two facts about {x}.",
        "Write two sentences on {x}.",
        "What is worth knowing of {x}? Be brief.",
    ),
    (
        "hedgehogs", "the river Danube", "origami", "the planet Saturn", "sourdough", "medieval castles", "owls",
        "the invention of printing", "coral reefs", "the game of chess", "camels", "earthquakes", "the cello",
        "Roman roads", "snowflakes", "the human heart", "tea ceremonies", "polar bears", "windmills", "the Silk Road",
        "mushrooms", "steam engines", "the moon landing", "dolphins", "saffron", "Viking ships", "bamboo",
        "the Amazon rainforest", "clouds", "hot-air balloons", "penguins", "lace", "the abacus", "ants", "opera",
        "chocolate", "the Olympic Games", "whales", "amber", "gardening in Japan",
    ),
)  # fmt: skip
CREATE = Kind(
    (
        "Write a poem of four lines about {x}.",
        "Write two lines about {x}.",
        "Invent a title for a painting of {x}.",
        "Describe {x} in one sentence.",
    ),
    (
        "the first frost", "a bakery at dawn", "an abandoned station", "a shop that mends umbrellas", "morning fog",
        "a festival of lanterns", "my grandfather's watch", "a floating market", "a bridge in the rain",
        "a café for cyclists", "the last bus home", "a garden after dark", "a school for clowns", "an old harbour",
        "a winter orchard", "a library on wheels", "the smell of coffee", "a quiet attic", "a thunderstorm at sea",
        "a toy repair shop", "a field of sunflowers", "a city without cars", "a mountain hut", "the sound of bells",
        "a river in spring", "a night market", "a paper boat", "an empty beach", "a museum of lost things",
        "a village square",
    ),
)  # fmt: skip
PLAN = Kind(
    (
        "Plan {x} in three short steps.",
        "What comes first when I prepare {x}?",
        "Give me a checklist of four words for {x}.",
        "In one sentence, how do I organise {x}?",
    ),
    (
        "a weekend in a small town", "a birthday for a child of six", "moving to a new flat", "a vegetable garden",
        "a talk about whales", "a week of healthy lunches", "a family reunion", "learning to type",
        "a picnic for ten", "a school play", "repainting a bedroom", "a walking tour of a harbour",
        "a book club's first evening", "cleaning a kitchen", "a surprise visit", "a day without screens",
        "a charity run", "planting an apple tree", "a science fair project", "a camping trip with friends",
        "a yard sale", "writing a short novel", "a treasure hunt", "baking bread for the first time",
        "a class trip to a museum",
    ),
)  # fmt: skip
WORDS = (
    "anchor", "basket", "candle", "desert", "engine", "feather", "garden", "hammer", "island", "jacket", "kettle",
    "ladder", "mirror", "needle", "orange", "pillow", "quiver", "ribbon", "saddle", "timber", "umbrella", "violin",
    "window", "yellow", "zipper", "bottle", "copper", "dragon", "falcon", "meadow",
)  # fmt: skip
PUZZLE = Kind(
    (
        "Sort alphabetically: {words}.",
        "Use these words in one sentence: {words}.",
        "Find the odd one out: {words}.",
        "Write a riddle about one of these: {words}.",
    ),
    ("",),
)
KINDS = (EXPLAIN, COMPARE, CHOOSE, LISTS, REWRITE, STORY, ADVICE, DEFINE, MESSAGE, FACTS, CREATE, PLAN, PUZZLE)


def general(dice: Random) -> Iterator[Item]:
    """Instructions without end, every kind as often as the others; no answers are known."""
    kinds = Deck(KINDS, dice)
    frames = {id(kind): Deck(kind.frames, dice) for kind in KINDS}
    fillings = {id(kind): Deck(kind.fillings, dice) for kind in KINDS}
    slots = {"style": Deck(STYLES, dice), "hero": Deck(HEROES, dice), "who": Deck(PEOPLE, dice)}
    words = Deck(WORDS, dice)
    while True:
        kind = kinds.draw()
        frame = frames[id(kind)].draw()
        fill = {name: deck.draw() for name, deck in slots.items() if f"{{{name}}}" in frame}
        if "{words}" in frame:
            fill["words"] = ", ".join(words.draw() for _ in range(4))
        yield Item(frame.format(x=fillings[id(kind)].draw(), **fill))
