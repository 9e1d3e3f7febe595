"""The circle closes: what the ring got trains a student, and the proof convicts it and clears an innocent one.

For a share of all requests the gateway had drawn two answers, and a committed coin chose which was served. The
student of the ring learns from what the ring was served; the innocent one from answers to the same questions that the
same teacher gave elsewhere. The case is about the accounts that the policy stopped, whoever they were. The suspect is
asked by the protocol that ``spiritsafe prove`` runs, with the innocent one as its control, and the bundle is verified.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec

from spiritsafe.drill import account
from spiritsafe.errors import InputError
from spiritsafe.evidence.signing import own_private
from spiritsafe.protect.twins import pairs_in, read_pairs, turns_of, write_pairs
from spiritsafe.prove.bundle import signed, write
from spiritsafe.prove.conduct import conduct
from spiritsafe.prove.gather import CASE, PAIRS, from_twins
from spiritsafe.prove.plan import read_case
from spiritsafe.prove.protocol import REAL, SUSPECT
from spiritsafe.prove.verify_bundle import verify
from spiritsafe.record.reader import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from spiritsafe.distill.batches import Example
    from spiritsafe.drill.scenario import Size
    from spiritsafe.record.exchange import Exchange
    from spiritsafe.store.models import Decision

FOLDER = "proof"
CALIBRATION = 16
LONGEST = 320
ELSEWHERE = 1_000_000
"""Added to the innocent answers' seeds: the teacher says other things elsewhere."""


def close(
    out: Path,
    data: Path,
    teacher: str,
    size: Size,
    exchanges: Iterable[Exchange],
    decisions: Iterable[Decision],
    tell: Callable[[str], None],
) -> account.Proof:
    """Train both students in ``out``, conduct the proof and verify its bundle. ``tell`` hears each step.

    Raises ``InputError`` where nobody was stopped, or no pairs were drawn for those who were.
    """
    stopped = account.bound(decisions, account.STOP)
    served = [e for e in exchanges if e.account_id in stopped and account.result(e.status) == "served" and e.completion]
    if not served:
        raise InputError("nobody who was stopped had got an answer", where=str(data), remedy="Play a longer drill.")
    out.mkdir()
    tell("drawing other answers to the ring's questions")
    elsewhere = _answered_elsewhere(teacher, served)
    tell("training a student on what the ring got")
    guilty = _student(out / "guilty", teacher, served, [e.completion or "" for e in served], size)
    tell("training an innocent student on other answers to the same questions")
    innocent = _student(out / "innocent", teacher, served, elsewhere, size)
    tell("asking both, blind")
    return _proved(out, data, teacher, guilty, innocent, frozenset(stopped))


def _proved(
    out: Path, data: Path, teacher: str, guilty: Path, innocent: Path, accounts: frozenset[str]
) -> account.Proof:
    pairs = [pair for pair in pairs_in(e for _, e in read(data / "twins" / "record")) if pair.tenant in accounts]
    if not pairs:
        raise InputError("no twins were drawn for them", where=str(data / "twins"), remedy="Play a longer drill.")
    folder = out / "case"
    path = from_twins(data, pairs[0].epoch, folder, "a student trained on what the stopped accounts were served")
    write_pairs(folder / PAIRS, [pair for pair in read_pairs(folder / PAIRS) if pair.tenant in accounts])
    case = read_case(path)
    tests = tuple(msgspec.structs.replace(test, reference=teacher) for test in case.tests)
    case = msgspec.structs.replace(case, name=CASE, controls=(f"hf:{innocent}",), tests=tests)
    done = conduct(case, folder, f"hf:{guilty}", out / "work")
    conclusion = done.results.conclusion
    bundle = out / "proof.bundle"
    signer = own_private(out / "proof.key")
    write(bundle, signed(done.members, done.plan, conclusion.verdict, signer))
    checked = verify(bundle, signer.public.fingerprint)
    by_model = {cell.model: cell.outcome.main for cell in done.results.cells if cell.key == REAL}
    main = by_model[SUSPECT]
    control = next((found for model, found in by_model.items() if model != SUSPECT), None)
    return account.Proof(
        verdict=conclusion.verdict,
        reasons=conclusion.reasons,
        pairs=len(pairs),
        p_value=None if main is None else main.p_value,
        innocent_p_value=None if control is None else control.p_value,
        alpha=done.plan.alpha,
        named=conclusion.named,
        bundle=str(bundle),
        problems=tuple(f"{trouble.where}: {trouble.message}" for trouble in checked.problems),
    )


def _answered_elsewhere(teacher: str, served: Sequence[Exchange]) -> list[str]:
    """The same questions, asked of the same teacher where nobody marks or withholds anything."""
    from spiritsafe.teach import open_teacher  # noqa: PLC0415 - loads torch
    from spiritsafe.teach.types import Chat, Options, Sampling  # noqa: PLC0415

    def sampling(at: int, exchange: Exchange) -> Sampling:
        params = exchange.params
        return Sampling(
            temperature=float(params.get("temperature", 1.0)),
            max_tokens=int(params.get("max_tokens") or LONGEST),
            seed=ELSEWHERE + at,
        )

    with closing(open_teacher(teacher, Options())) as opened:
        answers = opened.generate(
            [Chat(turns_of(exchange)) for exchange in served], [sampling(n, e) for n, e in enumerate(served)]
        )
    return [each[0].text for each in answers]


def _student(out: Path, teacher: str, served: Sequence[Exchange], answers: Sequence[str], size: Size) -> Path:
    """The teacher with fewer layers, trained on ``answers`` to what was ``served``; the folder it is in."""
    import torch  # noqa: PLC0415

    from spiritsafe.distill.recipe import Train  # noqa: PLC0415 - what follows loads torch
    from spiritsafe.distill.student import block_influence, load_model, most_influential, prune_layers  # noqa: PLC0415
    from spiritsafe.distill.targets import tokens  # noqa: PLC0415
    from spiritsafe.distill.train import train  # noqa: PLC0415
    from spiritsafe.distill.weights import load_tokenizer, weights_folder  # noqa: PLC0415

    source = weights_folder(teacher)
    tokenizer = load_tokenizer(source)
    examples = _examples(tokenizer, served, answers)
    whole = load_model(source, torch.float32)
    seen = [torch.tensor([example.ids]) for example in examples[:CALIBRATION]]
    student = prune_layers(whole, most_influential(block_influence(whole, seen), size.layers))
    section = Train(loss="sft", epochs=size.epochs, batch=4, max_length=LONGEST, checkpoint_steps=1_000_000)
    train(student, examples, tokens, section, out, pad=int(tokenizer.eos_token_id))
    student.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def _examples(tokenizer: Any, served: Sequence[Exchange], answers: Sequence[str]) -> list[Example]:
    from spiritsafe.distill.batches import encode  # noqa: PLC0415
    from spiritsafe.distill.rows import Row  # noqa: PLC0415

    found = []
    for number, (exchange, answer) in enumerate(zip(served, answers, strict=True)):
        row = Row(
            prompt_id=str(number),
            prompt=turns_of(exchange)[-1]["content"],
            sample=0,
            answer=answer,
            exchange_id=exchange.exchange_id,
            source="the ring",
            held_out=False,
            reason=None,
        )
        if (example := encode(tokenizer, row, LONGEST)) is not None:
            found.append(example)
    return found
