from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from spiritsafe.distill.cache.pack import Sample
from spiritsafe.distill.cache.reader import CacheReader
from spiritsafe.distill.cache.types import MANIFEST, Spec
from spiritsafe.distill.cache.writer import CacheWriter
from spiritsafe.errors import InputError, ResourceError, UsageError

OPEN = {"tokenizer": "digest", "vocabulary": 50, "temperature": 1.0}


def test_the_manifest_comes_last_and_nothing_is_left_beside_it(tmp_path, spec, rows):
    writer = CacheWriter(tmp_path, spec(), rows_per_part=4)
    for row, logits in rows(10):
        assert not (tmp_path / MANIFEST).exists()
        writer.add_logits(row, logits)
    manifest = writer.close()
    assert [p.rows for p in manifest.parts] == [4, 4, 2]
    assert manifest.positions == sum(i % 5 for i in range(10))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "manifest.json", "part-00000.arrow", "part-00001.arrow", "part-00002.arrow", "spec.json"
    ]  # fmt: skip


def test_a_writer_that_was_stopped_goes_on_and_ends_with_the_same_bytes(tmp_path, spec, rows):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    writer = CacheWriter(whole, spec(), rows_per_part=3)
    for row, logits in rows(10):
        writer.add_logits(row, logits)
    writer.close()
    first = CacheWriter(broken, spec(), rows_per_part=3)
    for row, logits in rows(8):
        first.add_logits(row, logits)
    del first  # two rows were never written
    (broken / ".part-00002.arrow.tmp").write_bytes(b"half")
    second = CacheWriter(broken, spec(), rows_per_part=3)
    assert second.done == {f"row-{i}" for i in range(6)}
    for row, logits in rows(10):
        if row.key not in second.done:
            second.add_logits(row, logits)
    second.close()
    assert {p.name: p.read_bytes() for p in broken.iterdir()} == {p.name: p.read_bytes() for p in whole.iterdir()}


def test_killed_in_the_middle_it_leaves_whole_parts_alone(tmp_path):
    code = """
import os, sys, signal, torch
from pathlib import Path
from collections import namedtuple
from spiritsafe.distill.cache.types import Spec
from spiritsafe.distill.cache.writer import CacheWriter
Row = namedtuple("Row", "key ids start")
spec = Spec(kind="topk", teacher="t", tokenizer="d", vocabulary=50, k=3)
writer = CacheWriter(Path(sys.argv[1]), spec, rows_per_part=2)
for i in range(7):
    writer.add_logits(Row(f"r{i}", [1, 2, 3], 1), torch.randn(2, 50))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, env=os.environ)
    assert done.returncode == -9
    with pytest.raises(InputError, match="no whole cache"):
        CacheReader(tmp_path, **OPEN)
    again = CacheWriter(tmp_path, Spec(kind="topk", teacher="t", tokenizer="d", vocabulary=50, k=3))
    assert again.done == {f"r{i}" for i in range(6)}


def test_another_spec_in_the_same_folder_is_refused(tmp_path, spec):
    CacheWriter(tmp_path, spec())
    for other in ({"temperature": 2.0}, {"tokenizer": "x"}, {"teacher": "x"}, {"seed": 1}, {"distinct": 5.0}):
        with pytest.raises(UsageError, match="begun with another"):
            CacheWriter(tmp_path, spec(**other))


def test_a_whole_cache_is_not_written_to(written, rows, spec):
    folder = written(rows(3))
    with pytest.raises(UsageError, match="is whole"):
        CacheWriter(folder, spec())


def test_rows_and_logits_that_do_not_fit_are_refused(tmp_path, spec, rows, row):
    writer = CacheWriter(tmp_path, spec())
    one, logits = rows(5)[3]
    with pytest.raises(InputError, match="over 49 tokens"):
        writer.add_logits(one, logits[:, :49])
    with pytest.raises(InputError, match="2 distributions for 3"):
        writer.add_logits(one, logits[:2])
    with pytest.raises(InputError, match="from 0"):
        writer.add_logits(row("x", [1, 2], 0), logits[:2])
    writer.add_logits(one, logits)
    with pytest.raises(InputError, match="already"):
        writer.add_logits(one, logits)


def test_what_an_interface_said_is_kept_with_fewer_tokens_where_it_said_fewer(tmp_path, spec, row):
    writer = CacheWriter(tmp_path, spec(kind="topk"))
    one = row("a", [1, 2, 3], 1)
    with pytest.raises(InputError, match="belong together"):
        writer.add_top(one, [[1], [2]], [[-0.1], [-0.2, -0.3]])
    with pytest.raises(InputError, match="outside"):
        writer.add_top(one, [[1], [50]], [[-0.1], [-0.2]])
    writer.add_top(one, [[1, 4], [2]], [[-0.5, -1.0], [-0.25]])
    writer.close()
    found = CacheReader(tmp_path, **OPEN).topk([one])
    assert found.ids.tolist() == [[1, 4], [2, -1]]
    assert found.logprobs.tolist() == [[-0.5, -1.0], [-0.25, 0.0]]


def test_samples_and_likeliest_are_not_mixed(tmp_path, spec, row):
    sampled = CacheWriter(tmp_path / "s", spec())
    with pytest.raises(UsageError, match="add_logits"):
        sampled.add_top(row("a", [1, 2], 1), [[1]], [[-0.1]])
    topk = CacheWriter(tmp_path / "t", spec(kind="topk"))
    with pytest.raises(UsageError, match="kind sampled"):
        topk.add_sample(row("a", [1, 2], 1), Sample(*[np.ones(1, dtype=np.int64)] * 5))


def test_the_draws_depend_on_seed_and_key_not_on_order(tmp_path, spec, rows):
    found = []
    for name, order, seed in (("a", 1, 0), ("b", -1, 0), ("c", 1, 1)):
        writer = CacheWriter(tmp_path / name, spec(seed=seed))
        for row, logits in rows(6)[::order]:
            writer.add_logits(row, logits)
        writer.close()
        found.append(CacheReader(tmp_path / name, **OPEN).samples([r for r, _ in rows(6)]))
    assert found[0].ids.tolist() == found[1].ids.tolist()
    assert found[0].ids.tolist() != found[2].ids.tolist()


def test_a_disk_that_refuses_is_named(tmp_path, spec):
    writer = CacheWriter(tmp_path, spec())
    (tmp_path / f".{MANIFEST}.tmp").mkdir()
    with pytest.raises(ResourceError, match=r"manifest\.json: the cache can't be written"):
        writer.close()
