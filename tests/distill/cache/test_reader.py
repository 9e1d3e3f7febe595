from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from spiritsafe.distill.cache.reader import CacheReader
from spiritsafe.distill.cache.types import MANIFEST
from spiritsafe.distill.losses.forward_kl import forward_kl
from spiritsafe.distill.losses.sampled_kl import sampled_kl
from spiritsafe.distill.losses.topk_kl import topk_kl
from spiritsafe.distill.losses.types import Dense, Head
from spiritsafe.errors import BrokenRecord, InputError

OPEN = {"tokenizer": "digest", "vocabulary": 50, "temperature": 1.0}


def test_a_batch_comes_in_the_order_asked_for_across_parts(written, rows):
    items = rows(11)
    reader = CacheReader(written(items), **OPEN)
    assert len(reader) == 11
    assert "row-4" in reader
    assert "row-11" not in reader
    chosen = [items[i] for i in (9, 2, 5, 3)]  # the third has no answer token at all
    found = reader.sampled([r for r, _ in chosen])
    assert found.ids.shape[0] == 4 + 2 + 0 + 3
    torch.testing.assert_close(found.weights.sum(-1), torch.ones(9))
    for position, logits in enumerate(torch.cat([z for _, z in chosen])):
        likely = int(logits.argmax())
        assert likely in found.ids[position][found.weights[position] > 0].tolist()


def test_the_losses_take_what_it_reads_and_are_near_the_full_kl(written, rows, row):
    g = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 50, (601,), generator=g).tolist()
    logits = 2.0 * torch.randn(600, 50, generator=g)
    one = row("long", ids, 1)
    hidden, head = torch.randn(600, 8, generator=g).requires_grad_(), Head(0.3 * torch.randn(50, 8, generator=g))
    full = forward_kl(hidden, head, Dense(lambda a, b: logits[a:b], 50))
    (wanted,) = torch.autograd.grad(full.loss, hidden)
    sampled = CacheReader(written([(one, logits)]), **OPEN).sampled([one])
    ours = sampled_kl(hidden, head, sampled)
    (gradient,) = torch.autograd.grad(ours.loss, hidden)
    assert ours.loss.item() == pytest.approx(full.loss.item(), rel=0.03)
    assert torch.nn.functional.cosine_similarity(gradient.flatten(), wanted.flatten(), dim=0) > 0.97


def test_the_likeliest_with_all_tokens_are_the_full_kl(written, rows):
    items = rows(8)
    reader = CacheReader(written(items, kind="topk", k=50), **OPEN)
    logits = torch.cat([z for _, z in items])
    hidden, head = torch.randn(len(logits), 4), Head(torch.randn(50, 4))
    full = forward_kl(hidden, head, Dense(lambda a, b: logits[a:b], 50))
    ours = topk_kl(hidden, head, reader.topk([r for r, _ in items]))
    torch.testing.assert_close(ours.rows, full.rows, rtol=0.02, atol=0.01)  # logprobs are kept in float16


@pytest.mark.parametrize("change", [{"tokenizer": "other"}, {"vocabulary": 51}, {"temperature": 2.0}])
def test_another_tokenizer_vocabulary_or_temperature_is_refused(written, rows, change):
    with pytest.raises(InputError, match=next(iter(change))):
        CacheReader(written(rows(2)), **{**OPEN, **change})


def test_a_row_whose_tokens_or_answer_changed_is_refused(written, rows, row):
    items = rows(5)
    reader = CacheReader(written(items), **OPEN)
    one = items[4][0]
    for wrong in (
        one._replace(ids=[*one.ids[:-1], one.ids[-1] ^ 1]),
        one._replace(ids=one.ids[:-1]),
        one._replace(start=one.start + 1),
    ):
        with pytest.raises(InputError, match="not those that the teacher saw"):
            reader.sampled([wrong])
    with pytest.raises(InputError, match="no such row"):
        reader.sampled([row("row-99", one.ids, one.start)])


def test_the_wrong_kind_is_refused(written, rows):
    items = rows(3)
    reader = CacheReader(written(items), **OPEN)
    with pytest.raises(InputError, match="holds sampled, not topk"):
        reader.topk([items[0][0]])


def test_a_changed_byte_is_found_and_a_cut_part_at_once(written, rows):
    folder = written(rows(9))
    CacheReader(folder, **OPEN).verify()
    part = folder / "part-00001.arrow"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    with pytest.raises(BrokenRecord, match=r"part-00001\.arrow: a part has other bytes"):
        CacheReader(folder, **OPEN).verify()
    part.write_bytes(data[:-8])
    with pytest.raises(BrokenRecord, match=r"part-00001\.arrow: a part is missing or cut"):
        CacheReader(folder, **OPEN)


def test_a_manifest_that_is_damaged_or_of_another_version_is_named(written, rows):
    folder = written(rows(2))
    path = folder / MANIFEST
    text = path.read_text()
    path.write_text(text[:-5])
    with pytest.raises(BrokenRecord, match=r"manifest\.json"):
        CacheReader(folder, **OPEN)
    manifest = json.loads(text)
    manifest["spec"]["version"] = 2
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="version 2"):
        CacheReader(folder, **OPEN)


def test_it_takes_at_most_forty_bytes_a_token_even_from_a_teacher_that_is_never_sure(tmp_path, spec, row):
    from spiritsafe.distill.cache.writer import CacheWriter

    vocabulary, length = 151_936, 64
    g = torch.Generator().manual_seed(0)
    writer = CacheWriter(tmp_path, spec(vocabulary=vocabulary))
    for i in range(4):
        logits = torch.randn(length, vocabulary, generator=g)
        logits -= 1.2 * torch.arange(1, vocabulary + 1).log()  # Zipf's tail
        writer.add_logits(row(f"{i:032d}:0", list(range(length + 40)), 40), logits)
    manifest = writer.close()
    assert manifest.bytes_per_position < 48  # 256 positions: the file's own frame weighs 8 bytes each
    payload = sum(len(memoryview(x)) for x in _payloads(tmp_path))
    assert payload / manifest.positions <= 40
    assert np.isfinite(payload)


def _payloads(folder):
    import pyarrow as pa

    for path in folder.glob("part-*.arrow"):
        yield from (x.as_buffer() for x in pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0).column("data"))
