from __future__ import annotations

import pytest

from spiritsafe import errors


@pytest.mark.parametrize(
    "kind", [errors.UsageError, errors.InputError, errors.ResourceError, errors.BrokenRecord, errors.Refused]
)
def test_every_kind_says_where_what_and_what_to_do(kind: type[errors.SpiritsafeError]) -> None:
    error = kind("port 80 is taken", remedy="Choose another with --port.", where="127.0.0.1:80")
    assert str(error) == "127.0.0.1:80: port 80 is taken. Choose another with --port."
    assert error.code != "error"


def test_wrong_usage_and_failure_have_different_exit_codes() -> None:
    assert {errors.UsageError.exit_code, errors.InputError.exit_code, errors.ConfigError.exit_code} == {2}
    assert {errors.ResourceError.exit_code, errors.BrokenRecord.exit_code, errors.Refused.exit_code} == {1}


def test_codes_tell_the_kinds_apart() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.SpiritsafeError)]
    assert len({k.code for k in kinds}) == len(kinds)


def test_a_configuration_error_prints_every_problem() -> None:
    error = errors.ConfigError([errors.Problem("f:1", "a", "b."), errors.Problem("f:2", "c", "d.")])
    assert str(error) == "f:1: a. b.\nf:2: c. d."
    assert error.where == "f:1"
