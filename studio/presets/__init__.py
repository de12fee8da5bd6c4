"""Bundled paintings that are offered as styles, and a photo to try them on;
style/SOURCES.md says where they are from.
"""

from pathlib import Path

from studio.errors import UnknownName

PHOTOS = ("colosseum", "pyramid", "hawa_mahal", "mysore", "badlands", "canyon", "forest")
STYLES = ("great_wave", "starry_night", "la_crau", "moulin", "snow_shrine", "auvers", "spring", "pesaro")
PHOTO = Path(__file__).with_name("photo.jpg")


def style_path(name: str) -> Path:
    """The picture of a preset. Raises UnknownName."""
    if name not in STYLES:
        raise UnknownName(f"no preset named {name!r}; known: {', '.join(STYLES)}")
    return Path(__file__).parent / "style" / f"{name}.jpg"


def photo_path(name: str) -> Path:
    """A photo that no bundled network was trained on; photos/SOURCES.md says whose it is. Raises UnknownName."""
    if name not in PHOTOS:
        raise UnknownName(f"no photo named {name!r}; known: {', '.join(PHOTOS)}")
    return Path(__file__).parent / "photos" / f"{name}.jpg"
