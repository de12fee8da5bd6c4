"""Settings: one frozen dataclass gives the command line's flags, a form's fields and JSON, behind one validator.

    @dataclass(frozen=True)
    class Walk(Config):
        seconds: float = setting(6.0, "length of the film", low=0.1, high=600, unit="s")
        loop: bool = setting(False, "end where it began")

An instance is valid by construction: `Walk(seconds=float("nan"))` raises SettingError, and so do the text "nan" from
the command line and a null from JSON.
"""

import argparse
import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from studio.errors import SettingError

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Setting:
    """One field of a Config as a form or a parser needs it."""

    name: str
    kind: type  # bool, int, float or str: the kind of one value
    many: bool  # a tuple of such values
    optional: bool  # None is allowed, and means "choose for me"
    default: Any
    help: str
    low: float | None  # both ends are allowed values
    high: float | None
    choices: tuple[Any, ...] | None
    unit: str
    length: int | None  # of the tuple, where it is fixed
    advanced: bool  # a form folds it away

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    def check(self, value: Any) -> Any:
        """The value in its proper type. Raises SettingError that names the value, the limit and what is allowed."""
        if value is None:
            if self.optional:
                return None
            raise SettingError(f"{self.name} is missing; give {self._allowed()}")
        if not self.many:
            return self._check_one(value)
        if not isinstance(value, (list, tuple)):
            raise SettingError(f"{self.name}={value!r} is not a list; give {self._allowed()}")
        values = tuple(self._check_one(v) for v in value)
        if self.length is not None and len(values) != self.length:
            raise SettingError(f"{self.name} has {len(values)} values; give exactly {self.length}")
        return values

    def parse(self, text: str) -> Any:
        """A command-line word as a value; a list is separated by commas."""
        if self.optional and text.lower() in ("none", "auto"):
            return None
        if self.many:
            return self.check([self._parse_one(part.strip()) for part in text.split(",") if part.strip()])
        return self.check(self._parse_one(text))

    def _parse_one(self, text: str) -> Any:
        if self.kind is str:
            return text
        try:
            if self.kind is bool:
                if text.lower() in TRUE + FALSE:
                    return text.lower() in TRUE
                raise ValueError
            return self.kind(text)
        except ValueError:
            raise SettingError(f"{self.name}={text!r} is not {self._noun()}; give {self._allowed()}") from None

    def _check_one(self, value: Any) -> Any:
        if self.kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)  # browsers and JSON have one kind of number
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            try:
                value = float(value)
            except OverflowError:
                what = f"{self.name} is a number of more than 300 digits"
                raise SettingError(f"{what}; give {self._allowed()}") from None
        # bool is a subclass of int, and a form must not turn "False" into True: the exact type or nothing.
        if type(value) is not self.kind:
            raise SettingError(f"{self.name}={value!r} is not {self._noun()}; give {self._allowed()}")
        if self.kind is float and not math.isfinite(value):
            raise SettingError(f"{self.name}={value} is not a finite number; give {self._allowed()}")
        if self.choices is not None and value not in self.choices:
            raise SettingError(f"{self.name}={value!r} is not one of {', '.join(map(str, self.choices))}")
        too_low = self.low is not None and value < self.low
        too_high = self.high is not None and value > self.high
        if too_low or too_high:
            raise SettingError(f"{self.name}={value} is outside {self._range()} ({self.help})")
        return value

    def _noun(self) -> str:
        return {bool: "yes or no", int: "a whole number", float: "a number", str: "a text"}[self.kind]

    def _range(self) -> str:
        low, high = ("" if end is None else _number(end) for end in (self.low, self.high))
        return f"{low}..{high}" + (f" {self.unit}" if self.unit else "")

    def _allowed(self) -> str:
        what = "one of " + ", ".join(map(str, self.choices)) if self.choices else self._noun()
        if self.low is not None or self.high is not None:
            what += f" in {self._range()}"
        return f"{what} ({self.help})"


def setting(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Iterable[Any] | None = None,
    unit: str = "",
    length: int | None = None,
    advanced: bool = False,
) -> Any:
    """A field of a Config. `low` and `high` are allowed values; `choices` lists the only ones."""
    meta = dict(help=help, low=low, high=high, unit=unit, length=length, advanced=advanced)
    meta["choices"] = None if choices is None else tuple(choices)
    return dataclasses.field(default=default, metadata=meta)


C = TypeVar("C", bound="Config")


@dataclass(frozen=True)
class Config:
    """The base of every group of settings; see the module's docstring."""

    VERSION: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for item in settings(type(self)):
            object.__setattr__(self, item.name, item.check(getattr(self, item.name)))
        self.check()

    def check(self) -> None:
        """Override for rules between fields. Raises SettingError."""

    @classmethod
    def from_dict(cls: type[C], values: Mapping[str, Any]) -> C:
        """From JSON or a form. Raises SettingError for an unknown name, a missing or a bad value."""
        if not isinstance(values, Mapping):
            raise SettingError(f"the settings are a {type(values).__name__}, not names with values")
        known = {item.name: item for item in settings(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise SettingError(f"no setting named {unknown[0]!r}; known: {', '.join(known)}")
        missing = [n for n, s in known.items() if s.default is dataclasses.MISSING and n not in values]
        if missing:
            raise SettingError(f"{missing[0]} is missing; give {known[missing[0]]._allowed()}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` gives an equal instance back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    def replace(self: C, **changes: Any) -> C:
        return dataclasses.replace(self, **changes)


def settings(cls: type[Config]) -> list[Setting]:
    """The fields of a Config, in order, with their types resolved."""
    hints = typing.get_type_hints(cls)
    return [_describe(field, hints[field.name]) for field in dataclasses.fields(cls)]


def add_arguments(parser: argparse.ArgumentParser, cls: type[Config], skip: Iterable[str] = ()) -> None:
    """Add one flag a setting. A flag that is not given leaves no trace, so that presets and defaults stay apart."""
    for item in settings(cls):
        if item.name in skip:
            continue
        default = "" if item.default in (None, dataclasses.MISSING) else f" (default {_text(item.default)})"
        help = (item.help + (f", {item.unit}" if item.unit else "") + default).replace("%", "%%")
        common = dict(dest=item.name, default=argparse.SUPPRESS, help=help)
        if item.kind is bool and not item.many:
            parser.add_argument(item.flag, action=argparse.BooleanOptionalAction, **common)
        else:
            metavar = "|".join(map(str, item.choices)) if item.choices else item.kind.__name__.upper()
            parser.add_argument(item.flag, type=item.parse, metavar=metavar, **common)


def from_arguments(cls: type[C], arguments: argparse.Namespace, base: Mapping[str, Any] | None = None) -> C:
    """The Config that the flags say, on top of `base` (a preset's values)."""
    names = {item.name for item in settings(cls)}
    given = {k: v for k, v in vars(arguments).items() if k in names}
    return cls.from_dict({**(base or {}), **given})


def to_arguments(config: Config) -> list[str]:
    """The shortest command line that gives this config: only what differs from the defaults."""
    words: list[str] = []
    for item in settings(type(config)):
        value = getattr(config, item.name)
        if value == item.default:
            continue
        if item.kind is bool and not item.many:
            words.append(item.flag if value else "--no-" + item.name.replace("_", "-"))
        else:
            text = _text(value)
            # argparse takes a word of its own such as -0.5,1 or -1e-05 for an unknown flag
            words += [f"{item.flag}={text}"] if text.startswith("-") else [item.flag, text]
    return words


def _number(value: float) -> str:
    # %g alone would say 4.29497e+09 for the largest seed
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)


def _describe(field: dataclasses.Field, hint: Any) -> Setting:
    optional = many = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [t for t in typing.get_args(hint) if t is not type(None)]
        optional, hint = len(inner) < len(typing.get_args(hint)), inner[0]
    if typing.get_origin(hint) is tuple:
        many, hint = True, typing.get_args(hint)[0]
    if hint not in (bool, int, float, str):
        raise TypeError(f"{field.name}: a setting is a bool, int, float, str or a tuple of one of them, not {hint}")
    empty = dict(help="", low=None, high=None, choices=None, unit="", length=None, advanced=False)
    return Setting(field.name, hint, many, optional, field.default, **{**empty, **field.metadata})
