import argparse
import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import pytest

from studio.config import Config, add_arguments, from_arguments, setting, settings, to_arguments
from studio.errors import SettingError


@dataclass(frozen=True)
class Film(Config):
    seconds: float = setting(6.0, "length of the film", low=0.1, high=600, unit="s")
    frames: int = setting(30, "pictures a second, 100% of them drawn", low=1, high=2**32 - 1)
    loop: bool = setting(False, "end where it began")
    sound: bool = setting(True, "play along")
    path: str = setting("w", "the way", choices=["w", "z"])
    side: int = setting(64, "of a picture", choices=[64, 128])
    title: str = setting("", "shown first")
    psis: tuple[float, ...] = setting((0.0, 0.5), "truncation of each key", low=-1, high=1)
    size: tuple[int, ...] = setting((4, 3), "aspect", length=2)
    names: tuple[str, ...] = setting((), "of the keys")
    gamma: float | None = setting(None, "weight; none: chosen by the studio", low=0)


@dataclass(frozen=True)
class Needy(Config):
    data: str = setting(help="where the pictures are")
    kimg: int | None = setting(7, "how long")


@dataclass(frozen=True)
class Ordered(Config):
    first: int = setting(1)
    last: int = setting(2)

    def check(self) -> None:
        if self.first > self.last:
            raise SettingError(f"first={self.first} is after last={self.last}; swap them")


def parse(words: list[str], cls: type[Config] = Film, **more: Any) -> Config:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser, cls)
    return from_arguments(cls, parser.parse_args(words), **more)


@pytest.mark.parametrize("value", ["False", "false", "no", "", "True", 0, 1, 0.0, None, [], [True]])
def test_only_a_bool_is_a_bool(value: Any) -> None:
    with pytest.raises(SettingError, match="^loop"):
        Film.from_dict({"loop": value})


def test_bools_from_json() -> None:
    film = Film.from_dict(json.loads('{"loop": true, "sound": false}'))
    assert film.loop is True and film.sound is False


@pytest.mark.parametrize(
    "text, value",
    [
        ("false", False),
        ("FALSE", False),
        ("no", False),
        ("off", False),
        ("0", False),
        ("True", True),
        ("yes", True),
        ("on", True),
        ("1", True),
    ],
)
def test_bools_from_words(text: str, value: bool) -> None:
    loop = next(item for item in settings(Film) if item.name == "loop")
    assert loop.parse(text) is value


def test_a_word_that_is_no_bool() -> None:
    loop = next(item for item in settings(Film) if item.name == "loop")
    with pytest.raises(SettingError, match=r"^loop='maybe' is not yes or no; give yes or no \(end where it began\)$"):
        loop.parse("maybe")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e999])
@pytest.mark.parametrize("name", ["seconds", "gamma", "psis"])
def test_not_a_number_is_not_a_number(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=f"^{name}=.*is not a finite number"):
        Film.from_dict({name: [value] if name == "psis" else value})


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "1e999", "NaN"])
@pytest.mark.parametrize("flag", ["--seconds", "--gamma", "--psis"])
def test_not_a_number_on_the_command_line(flag: str, word: str) -> None:
    with pytest.raises(SettingError, match="is not a finite number"):
        parse([f"{flag}={word}"])


def test_more_digits_than_a_float_holds() -> None:
    with pytest.raises(SettingError, match="^seconds is a number of more than 300 digits"):
        Film.from_dict({"seconds": 10**400})


@pytest.mark.parametrize("value", [0.1, 600, 600.0])
def test_both_ends_of_a_range_are_allowed(value: float) -> None:
    assert Film(seconds=value).seconds == value


@pytest.mark.parametrize("value", [0.0999, 600.001, -5, 1e300])
def test_outside_a_range(value: float) -> None:
    with pytest.raises(SettingError) as error:
        Film(seconds=value)
    assert str(error.value) == f"seconds={float(value)} is outside 0.1..600 s (length of the film)"


def test_a_limit_is_said_to_its_last_digit() -> None:
    with pytest.raises(SettingError, match=r"^frames=4294967296 is outside 1\.\.4294967295 \("):
        Film(frames=2**32)


def test_a_range_open_at_one_end() -> None:
    assert Film(gamma=1e12).gamma == 1e12
    with pytest.raises(SettingError, match=r"^gamma=-1\.0 is outside 0\.\. \("):
        Film(gamma=-1)


def test_browsers_and_json_have_one_kind_of_number() -> None:
    film = Film.from_dict({"frames": 24.0, "seconds": 3})
    assert (film.frames, type(film.frames)) == (24, int)
    assert (film.seconds, type(film.seconds)) == (3.0, float)


@pytest.mark.parametrize(
    "name, value",
    [
        ("frames", 24.5),
        ("frames", True),
        ("frames", "24"),
        ("seconds", "3"),
        ("seconds", True),
        ("title", 5),
        ("title", None),
    ],
)
def test_the_wrong_kind(name: str, value: Any) -> None:
    with pytest.raises(SettingError, match=f"^{name}"):
        Film.from_dict({name: value})


def test_choices_are_the_only_values() -> None:
    assert (Film(path="z").path, Film(side=128).side) == ("z", 128)
    with pytest.raises(SettingError, match=r"^path='x' is not one of w, z$"):
        Film(path="x")
    with pytest.raises(SettingError, match=r"^side=65 is not one of 64, 128$"):
        Film(side=65)


def test_lists() -> None:
    assert Film(psis=[1, -1, 0.5]).psis == (1.0, -1.0, 0.5)
    assert Film(size=[16.0, 9]).size == (16, 9)
    assert Film(psis=[]).psis == ()


@pytest.mark.parametrize("value", ["0.5", 0.5, {"0.5": 1}, None, {0.5}])
def test_what_is_no_list(value: Any) -> None:
    with pytest.raises(SettingError, match="^psis"):
        Film(psis=value)
    with pytest.raises(SettingError, match="^names"):
        Film(names={"a": 1})


@pytest.mark.parametrize("value", [[1], [1, 2, 3], []])
def test_a_list_of_fixed_length(value: list[int]) -> None:
    with pytest.raises(SettingError, match=rf"^size has {len(value)} values; give exactly 2$"):
        Film(size=value)


def test_each_value_of_a_list_is_checked() -> None:
    with pytest.raises(SettingError, match=r"^psis=1\.5 is outside -1\.\.1"):
        Film(psis=(0, 1.5))
    with pytest.raises(SettingError, match="^psis=True is not a number"):
        Film(psis=(0, True))


def test_none_only_where_it_is_allowed() -> None:
    assert Film(gamma=None).gamma is None
    with pytest.raises(
        SettingError, match=r"^seconds is missing; give a number in 0\.1\.\.600 s \(length of the film\)$"
    ):
        Film(seconds=None)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SettingError, match="^no setting named 'fps'; known: seconds, frames, loop, "):
        Film.from_dict({"fps": 30, "frames": 3})


def test_a_setting_without_a_default_must_be_given() -> None:
    with pytest.raises(SettingError, match=r"^data is missing; give a text \(where the pictures are\)$"):
        Needy.from_dict({"kimg": 3})
    assert Needy.from_dict({"data": "x"}) == Needy("x", 7)


@pytest.mark.parametrize("values", [[], "x", None, 3])
def test_settings_are_names_with_values(values: Any) -> None:
    with pytest.raises(SettingError, match="not names with values"):
        Film.from_dict(values)


def test_rules_between_fields() -> None:
    assert Ordered(1, 1).last == 1
    with pytest.raises(SettingError, match="^first=3 is after last=2; swap them$"):
        Ordered(first=3)


def test_valid_for_life() -> None:
    film = Film()
    with pytest.raises(dataclasses.FrozenInstanceError):
        film.seconds = -1
    with pytest.raises(SettingError):
        film.replace(seconds=-1)
    assert film.replace(seconds=1).seconds == 1


FILMS = [
    Film(),
    Film(seconds=0.1, frames=1, loop=True, sound=False, path="z", side=128, title="two words", gamma=0.0),
    Film(psis=(-0.5, 1, 1e-7), size=(-4, 3), names=("a", "b c")),
    Film(psis=(), gamma=1e-05, seconds=0.1 + 0.2),
    Film(psis=(-1e-05,), title="-dashed", names=("-x",)),
]


@pytest.mark.parametrize("film", FILMS)
def test_there_and_back_through_json(film: Film) -> None:
    assert Film.from_dict(json.loads(json.dumps(film.to_dict()))) == film


@pytest.mark.parametrize("film", FILMS)
def test_there_and_back_through_the_command_line(film: Film) -> None:
    assert parse(to_arguments(film)) == film


def test_only_what_differs_is_said() -> None:
    assert to_arguments(Film()) == []
    assert to_arguments(Film(sound=False, loop=True, psis=(1, 0))) == ["--loop", "--no-sound", "--psis", "1.0,0.0"]


def test_flags_lie_on_top_of_a_preset() -> None:
    film = parse(["--frames", "12"], base={"frames": 5, "seconds": 9})
    assert (film.frames, film.seconds, film.title) == (12, 9.0, "")


def test_words_for_none() -> None:
    assert parse(["--gamma", "none"], base={"gamma": 3}).gamma is None
    assert parse(["--gamma", "auto"], base={"gamma": 3}).gamma is None
    with pytest.raises(SettingError, match="^seconds='none' is not a number"):
        parse(["--seconds", "none"])


@pytest.mark.parametrize(
    "words, name",
    [
        (["--frames", "x"], "frames='x'"),
        (["--frames", "1.5"], "frames='1.5'"),
        (["--psis", "0.1,x"], "psis='x'"),
        (["--size", "1"], "size has 1"),
    ],
)
def test_bad_words_name_the_setting(words: list[str], name: str) -> None:
    with pytest.raises(SettingError, match=f"^{name}"):
        parse(words)


def test_help_survives_a_percent_sign_and_shows_defaults() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser, Film, skip=["loop"])
    text = " ".join(parser.format_help().split())
    assert "100% of them drawn (default 30)" in text
    assert "length of the film, s (default 6.0)" in text
    assert "--loop" not in text and "--no-sound" in text


def test_a_setting_of_another_kind_is_a_bug() -> None:
    @dataclass(frozen=True)
    class Odd(Config):
        things: dict = setting(None)

    with pytest.raises(TypeError, match="^things: a setting is a bool, int, float, str"):
        Odd()
