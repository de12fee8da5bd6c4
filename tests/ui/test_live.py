import pytest

from studio.errors import SettingError
from studio.explore import ExploreSettings
from studio.ui.components.live import Newest, Request, answering, control_keys

PAGE = "0123456789abcdef" * 2


def request(n: int, page: str = PAGE) -> Request:
    return Request.read({"page": page, "n": n, "settings": {}})


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"page": PAGE, "n": 1},
        {"page": "../../etc", "n": 1, "settings": {}},
        {"page": PAGE + "\n", "n": 1, "settings": {}},
        {"page": PAGE.upper(), "n": 1, "settings": {}},
        {"page": PAGE, "n": -1, "settings": {}},
        {"page": PAGE, "n": 2**53, "settings": {}},
        {"page": PAGE, "n": 1.0, "settings": {}},
        {"page": PAGE, "n": True, "settings": {}},
        {"page": PAGE, "n": 1, "settings": []},
    ],
)
def test_a_request_of_another_form_is_refused(data: object) -> None:
    with pytest.raises(SettingError, match="reload the page"):
        Request.read(data)


def test_the_newest_request_of_a_page_wins() -> None:
    newest, other = Newest(), "f" * 32
    newest.arrive(request(1))
    assert not newest.overtaken(request(1))
    newest.arrive(request(3))
    newest.arrive(request(2))  # a late one does not turn the clock back
    assert [newest.overtaken(request(n)) for n in (1, 2, 3)] == [True, True, False]
    assert not newest.overtaken(request(1, other))


def test_silent_pages_are_forgotten() -> None:
    newest, pages = Newest(pages=2), [c * 32 for c in "abc"]
    for page in (pages[0], pages[1], pages[0], pages[2]):
        newest.arrive(request(5, page))
    assert [newest.overtaken(request(1, page)) for page in pages] == [True, False, True]


def test_a_mendable_error_is_answered_with_its_sentence() -> None:
    def ask(data: object) -> dict[str, object]:
        raise SettingError("psi=9 is outside -1..2")

    assert answering(ask)(None) == {"error": "psi=9 is outside -1..2"}


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        answering(lambda data: {"x": 1 / 0})(None)


def test_one_control_for_every_number() -> None:
    keys = control_keys(ExploreSettings())
    assert keys[:3] == ["model", "seed", "psi"]
    assert keys[-2:] == ["dials.6", "dials.7"]
    assert len(keys) == len(set(keys)) == 23
