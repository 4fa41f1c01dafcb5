"""Answers that are kept for a moment: quick for many readers, never older than was said."""

from __future__ import annotations

import threading

from ringfence.web.kept import Kept


def test_a_fresh_answer_is_given_again_and_an_old_one_made_anew() -> None:
    now = [0.0]
    kept = Kept(lambda: now[0])
    made = iter(range(10))
    assert kept.get("a", lambda: next(made), 5, 5) == 0
    now[0] = 4.9
    assert kept.get("a", lambda: next(made), 5, 5) == 0
    now[0] = 5.0
    assert kept.get("a", lambda: next(made), 5, 5) == 1
    assert kept.get("b", lambda: next(made), 5, 5) == 2


def test_meanwhile_the_last_answer_is_given_and_only_one_new_one_is_made() -> None:
    now = [0.0]
    kept = Kept(lambda: now[0])
    go_on, made = threading.Event(), threading.Event()
    calls = []

    def slow() -> str:
        calls.append(1)
        go_on.wait(10)
        made.set()
        return "new"

    assert kept.get("a", lambda: "first", 1, 100) == "first"
    now[0] = 2.0
    assert [kept.get("a", slow, 1, 100) for _ in range(3)] == ["first"] * 3
    go_on.set()
    assert made.wait(10)
    while (found := kept.get("a", slow, 1e9, 1e9)) != "new":
        assert found == "first"
    assert calls == [1]
