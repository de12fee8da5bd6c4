import threading
import time
from collections.abc import Callable

import pytest

from studio.turns import Turns


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def waiting(turns: Turns, count: int) -> None:
    """Wait until so many threads wait."""
    deadline = time.monotonic() + 10
    while len(turns._waiting) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_first_come_first_served() -> None:
    turns, order, threads = Turns(), [], []

    def work(number: int) -> None:
        with turns:
            order.append(number)

    with turns:
        for number in range(8):
            threads.append(in_background(lambda number=number: work(number)))
            waiting(turns, number + 1)
    for thread in threads:
        thread.join(10)
    assert order == list(range(8))


def test_who_asks_again_and_again_lets_others_in() -> None:
    """With Python's own lock a thousand turns may pass before the other thread has one."""
    turns, served = Turns(), threading.Event()

    def ask() -> None:
        with turns:
            served.set()

    with turns:
        other = in_background(ask)
        waiting(turns, 1)
    with turns:  # right away
        assert served.is_set()
    other.join(10)


def test_one_at_a_time() -> None:
    turns, inside, most = Turns(), [], []

    def work() -> None:
        for _ in range(200):
            with turns:
                inside.append(0)
                most.append(len(inside))
                inside.pop()

    threads = [in_background(work) for _ in range(6)]
    for thread in threads:
        thread.join(20)
    assert most == [1] * 1200


def test_the_holder_may_enter_again_and_keeps_it_until_the_last_exit() -> None:
    turns, got = Turns(), []
    with turns:
        with turns, turns:
            other = in_background(lambda: turns.__enter__() or got.append(1) or turns.__exit__(None, None, None))
            waiting(turns, 1)
        time.sleep(0.02)
        assert got == []
    other.join(10)
    assert got == [1]


def test_an_error_ends_the_turn() -> None:
    turns, got = Turns(), []
    with pytest.raises(KeyError), turns:
        raise KeyError
    in_background(lambda: turns.__enter__() or got.append(1)).join(10)
    assert got == [1]


@pytest.mark.parametrize("late", [False, True])
def test_who_gives_up_waiting_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    """Ctrl-C, before it was one's turn or at that very moment."""
    turns = Turns()
    free, done = threading.Event(), threading.Event()
    held = threading.Event()

    def hold() -> None:
        with turns:
            held.set()
            free.wait(10)
        done.set()

    class Gate:
        calls = 0

        def acquire(self) -> None:
            Gate.calls += 1
            if Gate.calls == 2:
                if late:
                    free.set()
                    done.wait(10)
                raise KeyboardInterrupt

        def release(self) -> None:
            """Nobody is there to be let in."""

    holder = in_background(hold)
    held.wait(10)
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Lock", Gate)
        with pytest.raises(KeyboardInterrupt), turns:
            pass
    free.set()
    holder.join(10)
    got: list[int] = []
    in_background(lambda: turns.__enter__() or got.append(1)).join(10)
    assert got == [1]
