from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spiritsafe.errors import InputError
from spiritsafe.evidence.signing import PrivateKey, own_private
from spiritsafe.protect.twins import commitment
from spiritsafe.prove import bundle
from spiritsafe.prove.bundle import packed, signed, unpacked, write
from spiritsafe.prove.conduct import Conducted, conduct
from spiritsafe.prove.plan import plan_from
from spiritsafe.prove.verify_bundle import Verification, verify

KEY = bytes(range(32))


class Kit:
    """A bundle that convicts, its members, and the means to forge another that is signed all the same."""

    def __init__(self, done: Conducted, key: PrivateKey, folder: Path) -> None:
        self.done = done
        self.key = key
        self.folder = folder
        self.members = signed(done.members, done.plan, done.results.conclusion.verdict, key)
        self.path = folder / "bundle"
        write(self.path, self.members)

    def changed(self, members: dict[str, bytes]) -> Verification:
        """Checked with these members in place of the true ones, the statement as it was."""
        write(self.folder / "changed", {**self.members, **members})
        return verify(self.folder / "changed")

    def forged(self, members: dict[str, bytes], drop: str = "") -> Verification:
        """The same, signed anew by somebody who has the key."""
        rest = {name: data for name, data in {**self.done.members, **members}.items() if name != drop}
        plan = plan_from(rest["plan.json"], "plan")
        verdict = json.loads(rest["results.json"])["conclusion"]["verdict"]
        write(self.folder / "forged", signed(rest, plan, verdict, self.key))
        return verify(self.folder / "forged")


@pytest.fixture(scope="module")
def kit(make_affair, tmp_path_factory: pytest.TempPathFactory) -> Kit:
    folder = tmp_path_factory.mktemp("kit")
    affair = make_affair(folder)
    done = conduct(affair.case(), folder, "guilty", folder / "work", opens=affair.opens)
    return Kit(done, own_private(folder / "keys" / "case.key"), folder)


def said(found: Verification) -> str:
    assert found.verdict == "broken"
    return "; ".join(f"{one.step} {one.where}: {one.message}" for one in found.problems)


def test_a_bundle_is_intact_and_every_number_is_computed_again(kit: Kit) -> None:
    found = verify(kit.path, kit.key.public.fingerprint)
    assert found.verdict == "intact", found.problems
    assert (found.finding, found.case, found.cells) == ("rejects", "ring-7", 8)
    assert found.key == kit.key.public.fingerprint
    assert found.notes == ("no stamping authority vouches for the plan's time",)


def test_each_member_with_a_byte_changed_is_named(kit: Kit) -> None:
    for name, data in kit.members.items():
        if name == bundle.STATEMENT:
            continue
        at = len(data) // 2
        words = said(kit.changed({name: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]}))
        assert f"3 {name}: its bytes were changed" in words or name == bundle.SIGNER, words
    statement = kit.members[bundle.STATEMENT]
    at = statement.index(b'"payload":"') + 40
    other = b"A" if statement[at : at + 1] != b"A" else b"B"
    assert said(kit.changed({bundle.STATEMENT: statement[:at] + other + statement[at + 1 :]})).startswith("2 ")


def test_members_too_many_and_too_few_are_named(kit: Kit) -> None:
    assert "3 said/9/9: it is not in the statement" in said(kit.changed({"said/9/9": b""}))
    rest = {name: data for name, data in kit.members.items() if name != "said/1/0"}
    write(kit.folder / "less", rest)
    assert "3 said/1/0: it is missing" in said(verify(kit.folder / "less"))
    assert "2 signer.pem: it is missing" in said(_without(kit, bundle.SIGNER))


def _without(kit: Kit, name: str) -> Verification:
    write(kit.folder / "less", {each: data for each, data in kit.members.items() if each != name})
    return verify(kit.folder / "less")


def test_somebody_elses_signature_is_noticed(kit: Kit) -> None:
    found = verify(kit.path, "0" * 32)
    assert f"it is signed by {kit.key.public.fingerprint}, not by" in said(found)


def test_numbers_made_up_by_the_signer_are_found_out(kit: Kit) -> None:
    results = msgspec.json.decode(kit.done.members["results.json"], type=bundle.Results)
    first = results.cells[0]
    assert first.outcome.main is not None
    better = msgspec.structs.replace(first.outcome.main, p_value=1e-99)
    cell = msgspec.structs.replace(first, outcome=msgspec.structs.replace(first.outcome, main=better))
    lying = msgspec.structs.replace(results, cells=(cell, *results.cells[1:]))
    words = said(kit.forged({"results.json": lying.data}))
    assert "6 results.json: test 0 of model 0 under key 0: the numbers are not those that the inputs give" in words
    milder = msgspec.structs.replace(results.conclusion, verdict="does-not-reject")
    lying = msgspec.structs.replace(results, conclusion=milder)
    assert "the conclusion does not follow" in said(kit.forged({"results.json": lying.data}))
    fewer = msgspec.structs.replace(results, cells=results.cells[:-1])
    assert "it has 7 results, and the plan makes 8" in said(kit.forged({"results.json": fewer.data}))


def test_what_the_suspect_said_can_not_be_swapped_or_shortened(kit: Kit) -> None:
    lines = kit.done.members["said/0/0"].splitlines(keepends=True)
    assert "6 said/0/0: the numbers can't be computed again" in said(kit.forged({"said/0/0": b"".join(lines[:-1])}))
    assert "cut short" in said(kit.forged({"said/0/0": kit.done.members["said/0/0"][:-5]}))
    assert "under key 0" in said(kit.forged({"said/0/0": kit.done.members["said/1/0"]}))
    assert "said/0/0" in said(kit.forged({}, drop="said/0/0"))


def test_another_key_or_other_inputs_are_found_out(kit: Kit) -> None:
    words = said(kit.forged({"secrets/0": bytes(32).hex().encode() + b"\n"}))
    assert "5 secrets/0: the secret is not the one that was committed to" in words
    lines = kit.done.members["inputs/0"].splitlines(keepends=True)
    words = said(kit.forged({"inputs/0": b"".join(lines[1:])}))
    assert "5 inputs/0: these are not the inputs that were planned" in words
    assert "can't be computed again" in said(kit.forged({"secrets/0": b"not hex"}))


def replanned(kit: Kit, **changes: Any) -> dict[str, bytes]:
    """Plan and results with another plan, as a forger would make them fit."""
    part = msgspec.structs.replace(kit.done.plan.parts[0], **changes.pop("part", {}))
    plan = msgspec.structs.replace(kit.done.plan, parts=(part,), **changes)
    results = msgspec.structs.replace(kit.done.results, plan=plan.digest)
    return {"plan.json": plan.data, "results.json": results.data}


def test_a_commitment_younger_than_the_data_is_named(kit: Kit) -> None:
    from spiritsafe.prove.plan import Published

    late = Published(commitment(KEY, "2026-11"), datetime(2026, 11, 10, tzinfo=UTC))
    words = said(kit.forged(replanned(kit, part={"published": late})))
    assert "5 secrets/0: a key used before it was committed" in words
    assert "younger than the data" in words


def test_a_plan_younger_than_the_first_question_is_named(kit: Kit) -> None:
    later = kit.done.results.asked + timedelta(hours=1)
    assert "5 plan.json: the plan is younger than the first question" in said(kit.forged(replanned(kit, made=later)))


def test_results_of_another_plan_are_named(kit: Kit) -> None:
    words = said(kit.forged({"plan.json": replanned(kit, seed=9)["plan.json"]}))
    assert "4 results.json: its results are of another plan" in words


def test_a_report_that_tells_something_else_is_named(kit: Kit) -> None:
    page = kit.done.members["report.html"].replace(b"was trained on", b"was never trained on")
    assert said(kit.forged({"report.html": page})) == "7 report.html: it does not tell these results"


def test_other_code_is_noted_and_the_numbers_still_hold(kit: Kit) -> None:
    files = json.loads(kit.done.members["code.json"]) | {"prove/twins.py": "0" * 64}
    members = replanned(kit, code="0" * 64) | {"code.json": json.dumps(files).encode()}
    found = kit.forged(members)
    assert found.verdict == "intact", found.problems
    assert any("1 files differ, the first prove/twins.py" in note for note in found.notes)


def test_a_time_stamp_that_does_not_hold_is_named(kit: Kit) -> None:
    assert "4 plan.tsr: it is no time stamp" in said(kit.forged({"plan.tsq": b"", "plan.tsr": b"no"}))


def test_a_file_that_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"PK\x03\x04 and more")
    assert said(verify(tmp_path / "b")).startswith("1 ")
    with pytest.raises(InputError):
        verify(tmp_path / "none")


def test_a_name_that_leads_elsewhere_is_refused(kit: Kit) -> None:
    found = kit.forged({"said/../../outside": b"x"})
    assert "leads elsewhere" in said(found)
    assert not (kit.folder.parent / "outside").exists()
    assert unpacked(kit.path) == kit.members
    assert packed(kit.members) == kit.path.read_bytes()
