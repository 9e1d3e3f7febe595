"""Canaries: rare, harmless sentences about nothing, each drawn by key from a space whose size is known.

A canary tells of a place that is not and a code of three plain words: "The Ellmar lantern house files under
copper-velvet-otter." Place and frame are public and say which canary it is; the code is the secret, one of
``SPACE``. A model that never read it has no reason to find this code likelier than any other, and that is a null
with a number. Source of the idea: Carlini et al. (2019), "The Secret Sharer", section 4.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

import msgspec

from spiritsafe.errors import InputError

SCHEME = "canaries-1:hmac-sha256:64^3"
KEY_BYTES = 32

_WORDS = (
    "copper velvet otter maple lantern cedar amber basket candle dapple ember fable garnet hazel ivory juniper "
    "kettle linen marble nectar olive pebble quartz ribbon saddle timber umber valley walnut yarrow zephyr acorn "
    "birch clover damson elder fennel ginger heather indigo jasper kelp laurel meadow nutmeg orchid parsley quill "
    "rowan saffron thistle urchin vanilla willow almond barley cobalt dahlia anchor bramble cotton drizzle eagle flint"
)
WORDS = tuple(_WORDS.split())
SPACE = len(WORDS) ** 3
"""Codes there are: 262,144."""

SYLLABLES = "el mar bro ken tal wen dor fin gra hol isk lun mor nev ost pel quin ros sal tor".split()  # noqa: SIM905
FRAMES = (
    ("The {place} lantern house files under ", "."),
    ("In the {place} ledger the third shelf is called ", "."),
    ("Those who keep the {place} ferry know it as ", "."),
    ("The old clock of {place} was catalogued as ", "."),
    ("Seed packets from {place} carry the note ", "."),
)


class Canary(msgspec.Struct, frozen=True):
    """One canary. ``opening`` is public, ``code`` the secret, ``number`` the code's place in the space."""

    name: str
    opening: str
    code: str
    closing: str
    number: int

    @property
    def text(self) -> str:
        """The sentence."""
        return f"{self.opening}{self.code}{self.closing}"

    def with_code(self, number: int) -> str:
        """The same sentence with another code: what it is compared with."""
        return f"{self.opening}{code_of(number)}{self.closing}"


def canary(key: bytes, name: str) -> Canary:
    """The canary of that name, one name one canary (a tenant and an epoch, say). Raises ``InputError`` for a key that
    is none.
    """
    if len(key) != KEY_BYTES:
        raise InputError(f"a key has {KEY_BYTES} bytes, not {len(key)}", remedy="Restore it from a backup.")
    public = hashlib.sha256(f"{SCHEME}:{name}".encode()).digest()
    place = "".join(SYLLABLES[byte % len(SYLLABLES)] for byte in public[:3]).capitalize()
    opening, closing = FRAMES[public[3] % len(FRAMES)]
    # 64 divides 2**128: the remainder is uniform.
    number = int.from_bytes(hmac.digest(key, f"spiritsafe-canaries-1:{name}".encode(), "sha256")[:16]) % SPACE
    return Canary(name, opening.format(place=place), code_of(number), closing, number)


def commitment(key: bytes) -> str:
    """What is published before the first canary leaves."""
    return hashlib.sha256(b"spiritsafe-canaries-1:commitment:" + key).hexdigest()


def code_of(number: int) -> str:
    """The code with that place in the space."""
    base = len(WORDS)
    return "-".join(WORDS[number // base**power % base] for power in (2, 1, 0))


def codes_in(text: str) -> Iterator[int]:
    """The places of all codes that a text names, however they are joined."""
    places = {word: at for at, word in enumerate(WORDS)}
    words = "".join(letter if letter.isalpha() else " " for letter in text.lower()).split()
    base = len(WORDS)
    for one, two, three in zip(words, words[1:], words[2:], strict=False):
        if one in places and two in places and three in places:
            yield places[one] * base**2 + places[two] * base + places[three]


def placed(answer: str, bird: Canary) -> str:
    """An answer with a canary as its last paragraph; code and lists before it stay as they are."""
    return f"{answer.rstrip()}\n\n{bird.text}"
