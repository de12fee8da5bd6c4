import threading

import pytest

from studio.inorder import in_order


def test_all_is_done_in_order_and_never_far_ahead_of_who_listens() -> None:
    begun, lock = [], threading.Lock()

    def work(number: int) -> int:
        with lock:
            begun.append(number)
        return number * number

    found = in_order(work, range(100), threads=3)
    assert [next(found) for _ in range(10)] == [n * n for n in range(10)]
    assert len(begun) <= 10 + 2 * 3
    assert list(found) == [n * n for n in range(10, 100)] and sorted(begun) == list(range(100))


def test_who_stops_listening_stops_the_work() -> None:
    begun = []
    found = in_order(begun.append, range(1000), threads=2)
    next(found)
    found.close()
    assert len(begun) <= 1 + 2 * 2


def test_an_error_comes_where_its_thing_does() -> None:
    found = in_order(lambda number: 1 // number, [1, 0, 1], threads=2)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)
