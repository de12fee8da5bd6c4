"""Seeds as people write them: `0-15,20,30-32`."""

import re

from studio.errors import SettingError

MAX_SEED = 2**32 - 1  # the largest that NumPy's generator takes
_PART = re.compile(r"([0-9]+)(?:\s*-\s*([0-9]+))?")


def parse_seeds(text: str, most: int) -> list[int]:
    """The seeds of a list of numbers and ranges, both ends included, in the order written; repeats stay.

    Raises SettingError for anything else, for a seed above MAX_SEED, and for more than `most` seeds, which is known
    before they are counted out.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = _PART.fullmatch(part.strip())
        if found is None:
            raise SettingError(f"seeds={_short(part)!r} is no seed and no range of seeds; write them like 0-15,20")
        first, last = _number(found[1]), _number(found[2] or found[1])
        if last < first:
            raise SettingError(f"seeds={part.strip()!r} runs backwards; write {last}-{first}")
        if len(seeds) + last - first + 1 > most:
            raise SettingError(f"seeds={_short(text)!r} are more than {most}, the most at once; ask for fewer")
        seeds += range(first, last + 1)
    return seeds


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    if len(digits) > len(str(MAX_SEED)) or int(digits) > MAX_SEED:
        raise SettingError(f"seeds={_short(digits)!r} is outside 0..{MAX_SEED}; choose a smaller seed")
    return int(digits)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
