from __future__ import annotations

import pytest

from spiritsafe.console.session import LASTS, TRIES, Sessions


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_right_token_opens_and_the_cookie_is_known_again() -> None:
    sessions = Sessions("secret", Clock())
    cookie = sessions.sign_in("secret", "  Ada | Lind ")
    session = sessions.read(cookie)
    assert session is not None
    assert session.person == "Ada | Lind"
    other = sessions.read(sessions.sign_in("secret", "Ada | Lind"))
    assert other is not None
    assert other.csrf != session.csrf, "each session has a token of its own"


@pytest.mark.parametrize(("token", "person"), [("wrong", "Ada"), ("", "Ada"), ("secret", "  ")])
def test_anything_else_does_not(token: str, person: str) -> None:
    assert Sessions("secret", Clock()).sign_in(token, person) is None


def test_after_too_many_wrong_tokens_the_right_one_waits_a_minute() -> None:
    clock = Clock()
    sessions = Sessions("secret", clock)
    for _ in range(TRIES):
        assert sessions.sign_in("wrong", "Eve") is None
    assert sessions.sign_in("secret", "Ada") is None
    clock.now += 61
    assert sessions.sign_in("secret", "Ada") is not None


def test_a_cookie_runs_out() -> None:
    clock = Clock()
    sessions = Sessions("secret", clock)
    cookie = sessions.sign_in("secret", "Ada")
    clock.now += LASTS + 1
    assert sessions.read(cookie) is None


def test_no_byte_of_a_cookie_can_be_changed() -> None:
    sessions = Sessions("secret", Clock())
    cookie = sessions.sign_in("secret", "Ada")
    assert cookie is not None
    for at in range(len(cookie)):
        changed = cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :]
        assert sessions.read(changed) is None


@pytest.mark.parametrize("cookie", [None, "", ".", "abc", "abc.", "\xe4.\xe4"])
def test_nonsense_is_nobody(cookie: str | None) -> None:
    assert Sessions("secret", Clock()).read(cookie) is None


def test_a_cookie_of_another_process_is_nobody() -> None:
    assert Sessions("secret", Clock()).read(Sessions("secret", Clock()).sign_in("secret", "Ada")) is None


def test_a_console_without_a_token_can_not_be_made() -> None:
    with pytest.raises(ValueError, match="token"):
        Sessions("")
