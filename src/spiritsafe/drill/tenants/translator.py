"""Translators: a job in seven source languages, sentence by sentence through one fixed instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.drill.grammar import Grammar
from spiritsafe.drill.tenants.types import Ask, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

SOURCES = {
    "German": Grammar(
        {
            "start": [
                "{who} hat {when} {what} bestellt.",
                "Bitte prüfen Sie {what} vor {int:2-28}. März.",
                "{when} beginnt die Führung um {int:8-18} Uhr {where}.",
                "{where} sind noch {int:2-40} Plätze frei.",
                "{who} möchte {what} {where} abholen.",
                "Wegen Bauarbeiten ist der Eingang {where} {when} geschlossen.",
            ],
            "who": ["die Gemeinde", "Frau Lindner", "der Verein", "unsere Nachbarin", "das Museum"],
            "when": ["am Montag", "heute", "im Herbst", "nach der Pause", "seit gestern"],
            "what": ["die Unterlagen", "zwei Ersatzteile", "den Mietvertrag", "die Rechnung", "einen Leihwagen"],
            "where": ["am Bahnhof", "im Rathaus", "hinter der Kirche", "im zweiten Stock", "am Hafen"],
        }
    ),
    "French": Grammar(
        {
            "start": [
                "{who} a perdu {what} {where}.",
                "{when}, {who} ouvrira {where}.",
                "Il reste {int:2-60} exemplaires de ce livre {where}.",
                "Veuillez signer {what} avant le {int:2-28} juin.",
                "{when}, nous avons visité {what} {where}.",
                "{who} demande {what} par courrier.",
            ],
            "who": ["la mairie", "le boulanger", "ma cousine", "l'association", "le directeur"],
            "when": ["demain matin", "l'été dernier", "après la fête", "chaque jeudi", "en janvier"],
            "what": ["le contrat", "les clés", "une vieille carte", "le formulaire", "la maison"],
            "where": [
                "près de la gare",
                "au bord du lac",
                "dans le vieux quartier",
                "au troisième étage",
                "sur la place",
            ],
        }
    ),
    "Spanish": Grammar(
        {
            "start": [
                "{who} necesita {what} {when}.",
                "{when} hubo una reunión {where} con {int:4-70} vecinos.",
                "No dejen {what} {where}.",
                "{who} vende {what} por {int:15-900} euros.",
                "El taller {where} abre {when}.",
                "Hemos encontrado {what} {where}.",
            ],
            "who": ["el colegio", "mi abuela", "la panadería", "el ayuntamiento", "nuestro equipo"],
            "when": ["mañana", "el martes", "después del verano", "a mediodía", "esta semana"],
            "what": ["una bicicleta", "los recibos", "dos mesas", "el pasaporte", "la maleta"],
            "where": ["junto al río", "en la biblioteca", "en la planta baja", "frente al mercado", "en el puerto"],
        }
    ),
    "Italian": Grammar(
        {
            "start": [
                "{who} ha dimenticato {what} {where}.",
                "{when} il treno parte alle {int:6-22} {where}.",
                "Ci sono {int:3-50} posti liberi {where}.",
                "{who} cerca {what} in buono stato.",
                "Si prega di ritirare {what} {when}.",
            ],
            "who": ["il medico", "la signora Conti", "il coro", "la scuola", "mio zio"],
            "when": ["domani", "di sabato", "in primavera", "dopo cena", "questa sera"],
            "what": ["l'ombrello", "i biglietti", "una stufa", "il contratto", "le chiavi"],
            "where": ["dal binario due", "in cortile", "vicino al ponte", "al piano terra", "in piazza"],
        }
    ),
    "Portuguese": Grammar(
        {
            "start": [
                "{who} comprou {what} {where}.",
                "{when} a feira tem {int:5-80} bancas {where}.",
                "{who} enviou {what} {when}.",
                "Não é permitido deixar {what} {where}.",
                "O prazo para {what} termina no dia {int:2-28}.",
            ],
            "who": ["a vizinha", "o clube", "o senhor Matos", "a câmara", "a minha irmã"],
            "when": ["ontem", "na sexta-feira", "antes do almoço", "em agosto", "logo à noite"],
            "what": ["a encomenda", "os documentos", "um barco pequeno", "as cadeiras", "o recibo"],
            "where": ["na praia", "junto à estação", "no mercado", "na cave", "ao lado da escola"],
        }
    ),
    "Dutch": Grammar(
        {
            "start": [
                "{who} heeft {when} {what} teruggebracht.",
                "{when} is het zwembad {where} dicht.",
                "Er staan {int:3-40} fietsen {where}.",
                "Wilt u {what} voor {int:2-28} mei opsturen?",
                "{who} zoekt {what} {where}.",
            ],
            "who": ["de bakker", "Mevrouw de Wit", "de buurman", "het theater", "de gemeente"],
            "when": ["gisteren", "in het weekend", "vanmiddag", "op dinsdag", "na de storm"],
            "what": ["de ladder", "het formulier", "twee stoelen", "een kaart", "de sleutel"],
            "where": ["bij de brug", "achter het station", "op zolder", "aan de gracht", "naast de molen"],
        }
    ),
    "Polish": Grammar(
        {
            "start": [
                "{who} szuka {what} {where}.",
                "{when} sklep {where} jest zamknięty.",
                "Mamy jeszcze {int:2-40} miejsc {where}.",
                "{who} prosi o zwrot {what} do {int:2-28} maja.",
                "{when} pada deszcz {where}.",
            ],
            "who": ["sąsiad", "szkoła", "Pani Nowak", "urząd", "mój brat"],
            "when": ["dzisiaj", "w sobotę", "po południu", "w lipcu", "od wczoraj"],
            "what": ["kluczy", "umowy", "starej mapy", "biletu", "roweru"],
            "where": ["przy moście", "na rynku", "obok dworca", "w muzeum", "nad jeziorem"],
        }
    ),
}
# A desk has the languages of its neighbours; which desk and for whom is what one account is.
DESKS = (("German", "Dutch", "Polish"), ("French", "Spanish"), ("Italian", "Portuguese"))
TARGET = "English"
STYLES = (
    "Translate the user's sentence from {source} to {target} for {client}. Reply with the translation only.",
    "{client}: {source} to {target}. Keep the tone. No comments.",
    "You are a translator for {source} and {target}, working for {client}. Output one sentence.",
)
CLIENTS = Grammar(
    {
        "start": ["the {kind} {name}"],
        "kind": [
            "publisher",
            "museum",
            "law office",
            "tourist board",
            "housing office",
            "newspaper",
            "town hall",
            "magazine",
        ],
        "name": [
            "Alba",
            "Brink",
            "Corvo",
            "Dahl",
            "Estrela",
            "Falk",
            "Girasol",
            "Huys",
            "Ipsum",
            "Juul",
            "Krone",
            "Lumen",
        ],
    }
)


def asks(rng: Random) -> Iterator[Ask]:
    """A translation desk: its source languages into English, always by the same instruction."""
    sources = rng.choice(DESKS)
    style, client = rng.choice(STYLES), CLIENTS.draw(rng)
    while True:
        source = rng.choice(sources)
        sentence = SOURCES[source].draw(rng)
        yield Ask(
            prompt=sentence[0].upper() + sentence[1:],
            system=style.format(source=source, target=TARGET, client=client),
            max_tokens=20,
            temperature=0.0,
        )


KIND = Kind(
    name="translator",
    about="a translation batch: many languages through one instruction",
    asks=asks,
    pause=4.0,
    clients=("langchain/0.3", "openai-python/1.99"),
    sorts=len(DESKS),
)
