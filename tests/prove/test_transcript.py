from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import BrokenRecord, InputError, ResourceError, UsageError
from spiritsafe.prove.suspect import Identity, Reply, Scored
from spiritsafe.prove.suspect_api import ApiSuspect
from spiritsafe.prove.suspect_weights import WeightsSuspect
from spiritsafe.prove.transcript import Journaled, Replayed, asked, read
from spiritsafe.teach.openai import OpenAITeacher
from spiritsafe.teach.types import Raw, Sampling


class Parrot:
    """Says back what it hears, until it has been asked ``patience`` times."""

    access = "weights"
    tokenizer = None
    at_once = 1

    def __init__(self, patience: int = 10**9, chunk: int = 2, name: str = "parrot") -> None:
        self.identity = Identity(name=name, kind="bird")
        self.chunk = chunk
        self.patience = patience
        self.heard = 0

    def _hear(self, count: int) -> None:
        self.heard += count
        if self.heard > self.patience:
            raise ResourceError("it flew away", where="the cage", remedy="Wait.")

    def generate(self, prompts: Any, sampling: Any) -> list[list[Reply]]:
        self._hear(len(prompts))
        return [
            [Reply(text=f"{getattr(p, 'text', p)}/{s.seed}", ending="stop")]
            for p, s in zip(prompts, sampling, strict=True)
        ]

    def score(self, pairs: Any) -> list[Scored]:
        self._hear(len(pairs))
        return [Scored((-1.0,) * len(text)) for _, text in pairs]

    def likeliest(self, ids: Any) -> list[int]:
        self._hear(1)
        return [one + 1 for one in ids]

    def distributions(self, ids: Any) -> Any:
        return np.zeros((len(ids), 2), dtype=np.float32)

    def close(self) -> None:
        pass


SEEDS = [Sampling(seed=n) for n in range(5)]
PROMPTS = [f"p{n}" for n in range(5)]


def test_what_is_kept_is_replayed_to_the_last_byte(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    journal = Journaled(Parrot(), path)
    live = (
        journal.generate([*PROMPTS, Raw("p0")], [*SEEDS, SEEDS[0]]),
        journal.score([("a", "bc"), (Raw("a"), "")]),
        journal.likeliest([1, 2]),
    )
    assert journal.distributions([1]).shape == (1, 2)
    journal.close()
    kept = Replayed(path)
    assert (
        kept.generate([*PROMPTS, Raw("p0")], [*SEEDS, SEEDS[0]]),
        kept.score([("a", "bc"), (Raw("a"), "")]),
        kept.likeliest([1, 2]),
    ) == live
    assert kept.identity == Identity(name="parrot", kind="bird")
    with pytest.raises(UsageError):
        kept.distributions([1])
    with pytest.raises(BrokenRecord, match="never asked"):
        kept.generate(["other"], SEEDS[0])


def test_one_that_dies_half_way_is_asked_only_for_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    dying = Journaled(Parrot(patience=3), path)
    with pytest.raises(ResourceError, match=r"stopped answering after 2 of 5 .*it flew away.*goes on from there"):
        dying.generate(PROMPTS, SEEDS)
    dying.close()
    parrot, told = Parrot(), []
    again = Journaled(parrot, path, progress=lambda done, of: told.append((done, of)))
    replies = again.generate(PROMPTS, SEEDS)
    again.close()
    assert [one[0].text for one in replies] == ["p0/0", "p1/1", "p2/2", "p3/3", "p4/4"]
    assert parrot.heard == 3
    assert told == [(2, 3), (3, 3)]


@given(cut=st.integers(min_value=1, max_value=400))
def test_a_line_cut_short_by_a_crash_is_asked_again(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "said.jsonl"
    first = Journaled(Parrot(), path)
    live = first.generate(PROMPTS, SEEDS)
    first.close()
    data = path.read_bytes()
    path.write_bytes(data[: max(0, len(data) - cut)])
    again = Journaled(Parrot(), path)
    assert again.generate(PROMPTS, SEEDS) == live
    again.close()
    assert path.read_bytes() == data


def test_another_suspects_transcript_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    Journaled(Parrot(), path).close()
    with pytest.raises(InputError, match="not crow"):
        Journaled(Parrot(name="crow"), path)


def test_a_question_without_a_seed_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a seed"):
        asked("a", Sampling())


def test_the_same_question_is_asked_once(tmp_path: Path) -> None:
    parrot = Parrot()
    journal = Journaled(parrot, tmp_path / "said.jsonl")
    journal.score([("a", "b"), ("a", "b")])
    journal.score([("a", "b")])
    journal.close()
    assert parrot.heard == 1


@pytest.mark.parametrize("damage", [b"{}", b"not json", b'{"at":1}'])
def test_a_line_that_makes_no_sense_is_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "said.jsonl"
    journal = Journaled(Parrot(), path)
    journal.close()
    path.write_bytes(path.read_bytes() + damage + b"\n")
    with pytest.raises(BrokenRecord, match="makes no sense"):
        read(path)


def test_a_transcript_cut_short_is_not_replayed(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    Journaled(Parrot(), path).close()
    path.write_bytes(path.read_bytes() + b'{"at":')
    with pytest.raises(BrokenRecord, match="cut short"):
        Replayed(path)


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="can't be written"):
        Journaled(Parrot(), tmp_path / "file" / "said.jsonl")


def test_a_real_model_is_replayed(tiny: WeightsSuspect, tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    journal = Journaled(tiny, path)
    sampling = Sampling(seed=1, max_tokens=4)
    live = journal.generate(["the still", "the safe"], sampling), journal.score([("the still", " makes")])
    journal.close()
    kept = Replayed(path)
    assert (kept.generate(["the still", "the safe"], sampling), kept.score([("the still", " makes")])) == live


def test_a_failing_server_loses_no_answer_that_came(upstream, tmp_path: Path) -> None:
    def answer(body: dict[str, Any]) -> Any:
        asked_for = body["messages"][0]["content"]
        if asked_for == "bad" and not upstream.well:
            return 401, {"error": {"message": "expired"}}
        choice = {"index": 0, "message": {"content": asked_for}, "finish_reason": "stop"}
        return {"choices": [choice]}

    upstream.well = False
    upstream.said["/v1/chat/completions"] = [answer]
    prompts = [*(f"p{n}" for n in range(8)), "bad"]
    path = tmp_path / "said.jsonl"
    first = Journaled(ApiSuspect(OpenAITeacher(upstream.url, "m", None)), path)
    with pytest.raises(ResourceError, match="after 8 of 9"):
        first.generate(prompts, Sampling(seed=1))
    first.close()
    upstream.well, before = True, len(upstream.asked)
    again = Journaled(ApiSuspect(OpenAITeacher(upstream.url, "m", None)), path)
    assert [one[0].text for one in again.generate(prompts, Sampling(seed=1))] == prompts
    again.close()
    assert [body["messages"][0]["content"] for path, body in upstream.asked[before:] if "messages" in body] == ["bad"]
