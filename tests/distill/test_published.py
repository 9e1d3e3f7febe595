from __future__ import annotations

import pytest

from spiritsafe.distill.published import gpu, gpus, published, published_for
from spiritsafe.errors import UsageError


def test_an_accelerator_is_found_however_it_is_written():
    assert gpu("H800").name == gpu("h800-sxm").name == "H800 SXM"
    assert gpu("h100").bf16 == 989.4
    assert gpu("RTX4090").name == "RTX 4090"


def test_an_unknown_accelerator_names_the_known_ones_and_the_way_out():
    with pytest.raises(UsageError, match=r"h800.*--peak"):
        gpu("h9000")


def test_peaks_are_dense_and_say_where_they_come_from():
    for one in gpus():
        assert one.fp8 is None or one.fp8 == pytest.approx(2 * one.bf16, rel=0.02)  # not the rate with sparsity
        assert one.source
        assert (one.read is not None) == (one.basis == "read")


def test_no_name_stands_twice():
    names = [n for one in gpus() for n in one.names]
    assert len(names) == len(set(names))


def test_a_published_cost_is_found_by_the_models_name():
    assert published_for("deepseek-ai/DeepSeek-V3").hours == 2.788e6
    assert published_for("DeepSeek-V3-Base").hours == 2.664e6
    assert published_for("deepseek-r1").reported == 294e3
    assert published_for("HuggingFaceTB/SmolLM2-135M-Instruct").tokens == 2e12
    assert published_for("nothing") is None


def test_every_published_cost_names_its_source():
    assert all(p.source for p in published())
