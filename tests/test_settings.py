from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import ConfigError, InputError
from spiritsafe.settings import load, load_text


class Limit(msgspec.Struct, frozen=True):
    rpm: int
    burst: Annotated[float, msgspec.Meta(gt=0)] = 1.0


class Rule(msgspec.Struct, frozen=True):
    name: str
    action: Literal["observe", "suspend"]
    accounts: list[str] = []


class Settings(msgspec.Struct, frozen=True):
    limits: Limit
    rules: list[Rule] = []
    tags: dict[str, int] = {}
    note: str | None = None


def problems_of(text: str) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, Settings, where="f.yaml")
    return [tuple(p) for p in caught.value.problems]


def test_a_right_file_is_read_with_its_defaults() -> None:
    settings = load_text("limits: {rpm: 5}\nrules:\n- {name: a, action: observe}\nnote:\n", Settings, where="f.yaml")
    assert settings == Settings(limits=Limit(rpm=5), rules=[Rule(name="a", action="observe")])


def test_every_problem_is_listed_with_its_line_and_the_valid_names() -> None:
    found = problems_of(
        "limits:\n  rpm: many\n  brust: 2\nrules:\n- name: a\n  action: ban\n"
        "- action: observe\n  accounts: x\nnoise: 1\n"
    )
    assert [place for place, _, _ in found] == ["f.yaml:2", "f.yaml:3", "f.yaml:6", "f.yaml:8", "f.yaml:7", "f.yaml:9"]
    by_place = {place: (message, remedy) for place, message, remedy in found}
    assert "Did you mean 'burst'?" in by_place["f.yaml:3"][1]
    assert by_place["f.yaml:6"] == ("rules[0].action is 'ban'", "Valid values: observe, suspend.")
    assert "rules[1].name is missing" in by_place["f.yaml:7"][0]
    assert "Valid names: limits, note, rules, tags" in by_place["f.yaml:9"][1]


def test_a_key_written_twice_is_named_with_both_lines() -> None:
    assert problems_of("limits: {rpm: 1}\nnote: a\nnote: b\n")[0][:2] == (
        "f.yaml:3",
        "note stands twice (first at line 2)",
    )


def test_a_bound_of_the_type_is_checked_at_its_line() -> None:
    place, message, _ = problems_of("limits:\n  rpm: 1\n  burst: -1\n")[0]
    assert place == "f.yaml:3"
    assert "> 0" in message


def test_broken_yaml_names_its_line() -> None:
    place, message, _ = problems_of("limits: {rpm: 1\nrules: [\n")[0]
    assert place.startswith("f.yaml:")
    assert message.startswith("not YAML")


@pytest.mark.parametrize("text", ["", "[]", "just words", "limits: []\n", "limits: {rpm: 1}\ntags: [1]\n"])
def test_a_wrong_shape_is_a_problem_and_not_a_traceback(text: str) -> None:
    assert problems_of(text)


def test_a_file_that_is_not_there_or_not_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load(tmp_path / "none.yaml", Settings)
    (tmp_path / "bytes.yaml").write_bytes(b"limits: \xff")
    with pytest.raises(InputError, match="not UTF-8"):
        load(tmp_path / "bytes.yaml", Settings)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_order(text: str) -> None:
    try:
        load_text(text, Settings, where="f.yaml")
    except ConfigError as error:
        assert error.problems  # noqa: PT017 (both outcomes are right; a third is the failure)
