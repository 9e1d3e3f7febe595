"""``spiritsafe mark``: commit and rotate the keys of marks, list what was committed, look for a mark in text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spiritsafe.cli.data import FOLDER, Data, make_folder
from spiritsafe.cli.output import Json, emit_json, emit_table, plain
from spiritsafe.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spiritsafe.protect.keys import Commitment, Keyring
    from spiritsafe.protect.marks.detect import Detection
    from spiritsafe.teach.types import Tokenizer

ALPHA = 1e-3

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The mark with its parameters: kgw-k1-g0.25-d2, gumbel-k2, tournament-m30-k2, choice-n4-k2, "
        "traced-k1-g0.25-d2-m1024.",
    ),
]

group = typer.Typer(
    help="Marks on what leaves: commit keys, rotate them, and look for a mark in text.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add ``mark``."""
    app.add_typer(group, name="mark")


@group.command()
def commit(name: Name, data: Data = FOLDER, json: Json = False) -> None:
    """Draw the root if there is none, begin an epoch with NAME and write the commitments to publish."""
    keyring = _keyring(data, name)
    if keyring.epochs():
        raise UsageError("a key was committed before", remedy="Begin the next epoch: spiritsafe mark rotate NAME.")
    _begun(keyring, keyring.commit(name), json)


@group.command()
def rotate(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The mark from now on; the same if left out.")
    ] = None,
    data: Data = FOLDER,
    json: Json = False,
) -> None:
    """Begin the next epoch: another key, for the same mark or another. Old keys stay, to prove what they marked."""
    from spiritsafe.protect.keys import Keyring

    last = Keyring(data).epoch().mark
    assert last is not None
    keyring = _keyring(data, name or last)
    _begun(keyring, keyring.commit(name or last), json)


@group.command("list")
def list_(data: Data = FOLDER, json: Json = False) -> None:
    """The commitments in order. Raises an error that names the line if the file was changed."""
    from spiritsafe.protect.keys import Keyring

    keyring = Keyring(data)
    found = keyring.commitments()
    if json:
        emit_json({"path": str(keyring.path), "commitments": found})
        return
    rows = [(each.kind, each.epoch or None, each.mark, each.time, each.digest) for each in found]
    emit_table(("kind", "epoch", "mark", "committed", "SHA-256"), rows)


@group.command()
def detect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A text, or JSON lines (.jsonl) with a text each.")],
    data: Data = FOLDER,
    epoch: Annotated[int | None, typer.Option(min=1, help="Which key; the newest unless given.")] = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant's own key, if it was marked with that.")] = None,
    tokenizer: Annotated[
        str, typer.Option(metavar="MODEL", help="Whose tokens: smollm2, or the folder of the model that was marked.")
    ] = "smollm2",
    text_field: Annotated[
        str, typer.Option("--field", help="The field of a JSON line that holds the text.")
    ] = "completion",
    decoys: Annotated[int, typer.Option(min=0, help="Decoy keys that the key is ranked among.")] = 9_999,
    alpha: Annotated[float, typer.Option(help="Reject at this level.")] = ALPHA,
    json: Json = False,
) -> None:
    """Is a text marked under our key? Ends with 1 if it is. One key, one text: looking again with others needs Holm."""
    from spiritsafe.protect.keys import Keyring
    from spiritsafe.protect.marks.detect import TooFewTokens, encode
    from spiritsafe.protect.marks.detect import detect as look
    from spiritsafe.protect.marks.registry import mark

    if not 0.0 < alpha < 1.0:
        raise UsageError(f"--alpha is {alpha}", remedy="Give a level between 0 and 1, such as 0.001.")
    key = Keyring(data).key(epoch, tenant)
    found = mark(key.mark)
    texts = list(_texts(file, text_field))
    sequences = encode(found, texts, _tokenizer(tokenizer) if found.unit == "tokens" else None)
    try:
        result = look(found, key, sequences, subject=str(file), decoys=decoys)
    except TooFewTokens as error:
        if json:
            emit_json({"verdict": "undecided", "have": error.have, "need": error.need, "why": str(error)})
        else:
            typer.echo(f"undecided: {error}")
        return
    rejects = result.exact.p_value <= alpha
    _tell(result, "rejects" if rejects else "does-not-reject", alpha, json)
    if rejects:
        raise typer.Exit(1)


def _keyring(data: Path, name: str) -> Keyring:
    from spiritsafe.protect.keys import Keyring
    from spiritsafe.protect.marks.registry import mark

    if mark(name).name != name:
        raise UsageError(f"{name!r} is written {mark(name).name!r}", remedy="Write it so: the name is part of the key.")
    make_folder(data)
    return Keyring(data)


def _begun(keyring: Keyring, made: Commitment, json: bool) -> None:
    if json:
        emit_json({"mark_id": made.mark_id, "commitment": made, "publish": str(keyring.path)})
        return
    typer.echo(f"{made.mark_id}: committed at {made.time:%Y-%m-%d %H:%M:%S}Z, SHA-256 {made.digest}")
    typer.echo(f"Publish {keyring.path} before the first answer is marked, or have it stamped: our word is not enough.")


def _texts(file: Path, name: str) -> Iterator[str]:
    """The whole file, or the named field of each line of a ``.jsonl``; every wrong line is an error with its number."""
    import msgspec

    try:
        data = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"it can't be read: {error}", where=str(file), remedy="Give a text file in UTF-8.") from error
    if file.suffix != ".jsonl":
        yield data
        return
    for number, line in enumerate(data.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value: Any = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise InputError("it is no JSON", where=f"{file}:{number}", remedy="Give JSON lines.") from error
        text = value.get(name) if isinstance(value, dict) else value
        if not isinstance(text, str):
            raise InputError(f"there is no text in {name!r}", where=f"{file}:{number}", remedy="Name another --field.")
        yield text


def _tokenizer(model: str) -> Tokenizer:
    """A model's tokenizer, from its ``tokenizer.json`` alone: neither torch nor the model is loaded."""
    from spiritsafe.prove.instruments.radioactivity import Words

    return Words(tokenizer_file(model).read_text(encoding="utf-8"))


def tokenizer_file(model: str) -> Path:
    """The ``tokenizer.json`` of ``smollm2`` or of a model's folder. Raises ``InputError`` if there is none."""
    from spiritsafe.teach.embedded import folder

    file = (folder() if model == "smollm2" else Path(model)) / "tokenizer.json"
    if not file.is_file():
        raise InputError("there is no tokenizer", where=str(file), remedy="Name the folder of the marked model.")
    return file


def _tell(found: Detection, verdict: str, alpha: float, json: bool) -> None:
    if json:
        emit_json({"verdict": verdict, "alpha": alpha, "exact": found.exact, "decoys": found.decoys})
        return
    typer.echo(f"{verdict} at {alpha:g}: {found.exact.name}")
    rows = [
        ("null", found.exact.null),
        ("p-value", f"{found.exact.p_value:.3g}"),
        ("rank among decoy keys", f"{found.decoys.p_value:.3g}"),
        ("e-value", f"10^{found.exact.log10_e:.1f}"),
    ]
    emit_table(("", ""), rows)
    for fact in found.exact.because:
        typer.echo(plain(f"  - {fact}"))
