from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distill.recipe import Prompts
from spiritsafe.distill.rows import Row, all_prompts, is_held_out, prompt_id, read_prompts, read_rows, write_rows
from spiritsafe.errors import InputError


def lines(path: Path, *records: object) -> Path:
    text = "".join(json.dumps(r) + "\n" for r in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz", "p.parquet", "p.txt"])
def test_the_same_prompts_come_out_of_every_format_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    texts = ["Why is the sky blue?", "What is 2+2?", "Why  is the sky blue?"]
    if name.endswith("parquet"):
        pq.write_table(pa.table({"prompt": texts}), path)
    elif name.endswith("txt"):
        path.write_text("\n".join(texts) + "\n\n")
    else:
        lines(path, *({"prompt": t} for t in texts))
    prompts = read_prompts(Prompts(file=name), path)
    assert [p.text for p in prompts] == texts[:2]
    assert prompts[0].prompt_id == prompt_id(texts[2])


def test_known_answers_and_the_limit_are_kept(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", *({"q": f"What is {i}?", "a": i} for i in range(9)))
    prompts = read_prompts(Prompts(file="p.jsonl", field="q", answer="a", limit=3), path)
    assert [p.answer for p in prompts] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"prompt": "a"}, {"text": "b"}], r"p\.jsonl:2: no text in 'prompt' \(the names here: 'text'\)"),
        ([{"prompt": "a"}, {"prompt": 3}], r"p\.jsonl:2: no text in 'prompt'"),
        ([{"prompt": "a"}, ["b"]], r"p\.jsonl:2: not a JSON object"),
        ([], "no prompts in it"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, records: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_prompts(Prompts(file="p.jsonl"), lines(tmp_path / "p.jsonl", *records))


def test_a_missing_column_names_those_that_are_there(tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["a"]}), tmp_path / "p.parquet")
    with pytest.raises(InputError, match=r"no column 'prompt'. The columns here: question"):
        read_prompts(Prompts(file="p.parquet"), tmp_path / "p.parquet")


def test_a_file_that_is_not_there_or_not_utf8_says_so(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"caf\xe9\n")
    for name in ("none.jsonl", "b.txt"):
        with pytest.raises(InputError, match="can't be read as prompts"):
            read_prompts(Prompts(file=name), tmp_path / name)


def test_the_held_out_share_is_kept_to_and_depends_on_prompt_and_seed_alone() -> None:
    identifiers = [prompt_id(f"prompt {i}") for i in range(4000)]
    held = [is_held_out(i, 0.1, 0) for i in identifiers]
    assert 340 <= sum(held) <= 460  # binomial(4000, .1): 3 standard deviations are 57
    assert held == [is_held_out(i, 0.1, 0) for i in identifiers]
    assert held != [is_held_out(i, 0.1, 1) for i in identifiers]


def test_prompts_of_all_sources_come_together_each_once(tmp_path: Path) -> None:
    lines(tmp_path / "p.jsonl", {"prompt": "Why is the sky blue?"})
    made = Prompts(generate="arithmetic", count=5, seed=2)
    found = all_prompts([Prompts(file="p.jsonl"), made, Prompts(file="p.jsonl"), made], tmp_path.joinpath)
    assert len(found) == 6
    assert [p.source for p in found] == ["p.jsonl", *5 * ["generate:arithmetic:2"]]
    assert found[0].answer is None
    assert all(p.answer for p in found[1:])
    assert all_prompts([Prompts(generate="arithmetic", count=5, seed=2, limit=2)], tmp_path.joinpath) == found[1:3]


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@given(st.lists(st.tuples(TEXT, TEXT, st.none() | TEXT), max_size=5))
def test_rows_survive_their_file(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, str, str | None]]
) -> None:
    rows = [
        Row(
            prompt_id=prompt_id(p),
            prompt=p,
            sample=i,
            answer=a,
            known=k,
            exchange_id=f"e{i}",
            source="s",
            held_out=i % 2 == 0,
        )
        for i, (p, a, k) in enumerate(parts)
    ]
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    write_rows(path, rows)
    assert read_rows(path) == rows
