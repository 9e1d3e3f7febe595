from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from spiritsafe.distill.api_logprobs import Mapped, map_rows, pieces_of
from spiritsafe.distill.batches import Example, encode
from spiritsafe.distill.cache.reader import CacheReader
from spiritsafe.distill.cache.types import Spec, tokenizer_digest
from spiritsafe.distill.cache.writer import CacheWriter
from spiritsafe.distill.rows import Row
from spiritsafe.errors import InputError
from spiritsafe.teach.detokenize import pieces
from spiritsafe.teach.openai import OpenAITeacher
from spiritsafe.teach.types import Answer, Candidate, Sampling, Token
from spiritsafe.teach.wire import chat_choice

TEXTS = ["Twelve and five make seventeen.", "The sky is grey, l\u00e9ger \U0001f327 before rain.", "Three rivers."]
K = 5


@pytest.fixture
def tokenizer(model_folder: Path) -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(model_folder)


def row(text: str, number: int = 0) -> Row:
    return Row(prompt_id=f"p{number}", prompt="Say it.", sample=0, answer=text, exchange_id="e", source="s")


def examples(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[Example]:
    found = [encode(tokenizer, row(text, i), 256) for i, text in enumerate(texts)]
    return [e for e in found if e is not None]


def true_logprobs(model: LlamaForCausalLM, example: Example) -> torch.Tensor:
    """(answer tokens, V)."""
    with torch.no_grad():
        logits = model(torch.tensor([example.ids])).logits[0]
    return logits[example.start - 1 : -1].log_softmax(-1)


def extra(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, example: Example, *, end: bool = False) -> dict:
    """What the record keeps of the answer, after it has gone through OpenAI's wire form and back."""
    data = pieces(tokenizer)

    def shown(number: int) -> tuple[str, bytes]:
        return data[number].decode("utf-8", "replace"), data[number]

    tokens = []
    ids = example.ids[example.start :]
    for number, values in zip(ids if end else ids[:-1], true_logprobs(model, example), strict=False):
        best = values.topk(K)
        top = tuple(
            Candidate(None, *shown(i), v) for i, v in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        )
        tokens.append(Token(None, *shown(number), float(values[number]), top))
    answer = Answer(choice=0, text="x", tokens=tuple(tokens), finish="stop")
    body = msgspec.json.decode(msgspec.json.encode({"choices": [chat_choice(answer, logprobs=True)]}))
    (read,) = OpenAITeacher("http://127.0.0.1:9/v1", "m", None).read(body, Sampling(logprobs=K))
    kept = msgspec.json.decode(msgspec.json.encode(pieces_of(read.tokens)))
    return {"finish": "stop", **kept}


def test_a_cache_from_an_apis_logprobs_holds_what_the_teacher_thought(
    tmp_path: Path, small_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = examples(tokenizer, TEXTS)
    mapped = map_rows(rows, {e.key: extra(small_model, tokenizer, e) for e in rows}, tokenizer)
    assert not mapped.left_out
    digest = tokenizer_digest(tokenizer.get_vocab())
    writer = CacheWriter(tmp_path / "c", Spec(kind="topk", teacher="t", tokenizer=digest, vocabulary=400, k=K))
    for example in rows:
        writer.add_top(example, *mapped.tops[example.key])
    writer.close()
    reader = CacheReader(tmp_path / "c", tokenizer=digest, vocabulary=400, temperature=1.0)
    data = pieces(tokenizer)
    for example in rows:
        cached, truth = reader.topk([example]), true_logprobs(small_model, example)
        end = truth.shape[0] - 1
        assert cached.ids[end][cached.ids[end] >= 0].tolist() == [tokenizer.eos_token_id]
        assert float(cached.logprobs[end, 0]) == 0.0
        for at in range(end):
            known = cached.ids[at] >= 0
            ids = cached.ids[at][known].long()
            # Special tokens have no bytes here, so they are part of the tail; what is drawn is always known.
            wanted = {i for i in truth[at].topk(K).indices.tolist() if data[i]} | {example.ids[example.start + at]}
            assert set(ids.tolist()) == wanted
            torch.testing.assert_close(cached.logprobs[at][known].float(), truth[at][ids], atol=5e-3, rtol=2e-3)
            assert (cached.logprobs[at][known].diff() <= 0).all()


def test_a_server_that_tells_of_the_end_token_is_believed(
    small_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    (example,) = examples(tokenizer, TEXTS[:1])
    told = extra(small_model, tokenizer, example, end=True)
    for name in ("", "<|im_end|>"):
        told["pieces"][-1] = name
        tops = map_rows([example], {example.key: told}, tokenizer).tops[example.key]
        assert len(tops.ids) == example.answer
        at = tops.ids[-1].index(tokenizer.eos_token_id)
        assert tops.logprobs[-1][at] == pytest.approx(
            float(true_logprobs(small_model, example)[-1, tokenizer.eos_token_id]), abs=1e-4
        )


def test_an_answer_that_was_cut_says_nothing_of_the_end(
    small_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    (example,) = examples(tokenizer, TEXTS[:1])
    told = extra(small_model, tokenizer, example) | {"finish": "length"}
    assert map_rows([example], {example.key: told}, tokenizer).tops[example.key].ids[-1] == []


def many(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, change: dict[str, Any]) -> tuple[Mapped, Example]:
    """Six rows, of which the first one's extra is changed."""
    rows = examples(tokenizer, [f"{i} and {i} make {2 * i}." for i in range(6)])
    told = {e.key: extra(model, tokenizer, e) for e in rows}
    told[rows[0].key] |= change
    return map_rows(rows, told, tokenizer), rows[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"pieces": None}, "the answer came without logprobs"),
        ({"pieces": ["0"]}, "tokens and logprobs are not as many"),
        ({"pieces": ["0"], "logprobs": [-1.0], "top": [[]]}, "at its token 1 the teacher has 'nothing more'"),
    ],
)
def test_a_row_that_does_not_map_is_left_out_with_its_reason(
    small_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, change: dict[str, Any], why: str
) -> None:
    mapped, example = many(small_model, tokenizer, change)
    assert list(mapped.left_out) == [example.key]
    assert why in mapped.left_out[example.key]
    assert len(mapped.tops) == 5


def test_tokens_of_the_same_text_cut_otherwise_are_not_the_students(
    small_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    letters = [*"0 and 0 make 0."]
    change = {"pieces": letters, "logprobs": [-1.0] * len(letters), "top": [[]] * len(letters)}
    mapped, example = many(small_model, tokenizer, change)
    assert "at its token 1 the teacher has ' '" in mapped.left_out[example.key]


def test_another_tokenizer_is_refused(small_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    rows = examples(tokenizer, TEXTS)
    told = {
        e.key: {
            "finish": "stop",
            "pieces": t.split(),
            "logprobs": [-1.0] * len(t.split()),
            "top": [[]] * len(t.split()),
        }
        for e, t in zip(rows, TEXTS, strict=True)
    }
    with pytest.raises(InputError, match=r"3 of 3 answers can't be read in the student's tokens"):
        map_rows(rows, told, tokenizer)


def test_likely_tokens_that_the_student_has_not_are_refused(
    small_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = examples(tokenizer, TEXTS)
    told = {e.key: extra(small_model, tokenizer, e) for e in rows}
    for each in told.values():
        each["top"][0].append(["Donaudampfschiff", -3.0])
    with pytest.raises(InputError, match=r"are none of the student's \(as 'Donaudampfschiff'\)"):
        map_rows(rows, told, tokenizer)


def test_candidates_whose_bytes_were_lost_belong_to_the_tail(
    small_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = examples(tokenizer, TEXTS[:1])
    told = extra(small_model, tokenizer, rows[0])
    known = len(map_rows(rows, {rows[0].key: told}, tokenizer).tops[rows[0].key].ids[0])
    told["top"][0] += [["\ufffd", -3.0], ["", -4.0]]
    assert len(map_rows(rows, {rows[0].key: told}, tokenizer).tops[rows[0].key].ids[0]) == known


def test_half_a_character_is_kept_as_bytes() -> None:
    token = Token(None, "\ufffd", b"\xf0\x9f", -1.0, (Candidate(None, "a", b"a", -2.0),))
    assert pieces_of([token]) == {"pieces": [[0xF0, 0x9F]], "logprobs": [-1.0], "top": [[["a", -2.0]]]}
