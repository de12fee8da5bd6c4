"""All that the restore tab's page says, checked: the one state that is sent, kept, undone and read back."""

from dataclasses import dataclass

from studio.compositing import MAX_FEATHER
from studio.config import Config, setting
from studio.errors import SettingError
from studio.layers import MAX_LAYERS
from studio.masks import MAX_GROWTH
from studio.restore import AUTO, CLASSICAL, NETWORK, RestoreSettings
from studio.ui.desks import FILE

FORMATS = ("png", "tiff", "webp", "jpeg")
LOSSLESS = FORMATS[:3]
SCALES = ("1", "2", "4")
MAX_NOTE = 2000  # characters


@dataclass(frozen=True)
class RestoreControls(Config):
    """All that the tab's page says. Files are named by their hash and lie on the page's desk."""

    model: str = setting("inpaint", "name of an installed network that fills")
    network: str = setting("", "a network that fills, a file that takes the installed one's place")
    enlarger: str = setting("", "a network that cleans or enlarges, a file likewise")
    work: str = setting("", "the picture that is repaired, a file")
    at_s: float = setting(0.0, "of a film; pictures alone are repaired", low=0, high=1e6, unit="s")
    mask: str = setting("", "what is to be filled, a file")
    layers: tuple[str, ...] = setting((), "fills over the picture from below upwards, files")
    hidden: tuple[str, ...] = setting((), "those of the layers that do not show")
    proposal: str = setting("", "where damage was suggested, a file")
    threshold: float = setting(0.5, "how likely damage must be to be proposed", low=0.02, high=0.98)
    ignored: tuple[str, ...] = setting((), "kinds of damage that are not proposed")
    method: str = setting(AUTO, "auto, network, or a classical fill", choices=[AUTO, NETWORK, *CLASSICAL])
    grow: int = setting(0, "how far the mask is grown", low=-MAX_GROWTH, high=MAX_GROWTH, unit="px")
    feather: int = setting(0, "how far a fill fades in within the mask", low=0, high=MAX_FEATHER, unit="px")
    strokes: str = setting("no", "whether fills are drawn as visible strokes", choices=["no", "yes"])
    format: str = setting("png", "of the finished picture", choices=FORMATS)
    note: str = setting("", "the operator's, for the report")
    scale: str = setting("1", "how many times as large the picture is made", choices=SCALES)
    noise: float = setting(0.15, "how much noise is taken away", low=0, high=1)

    def check(self) -> None:
        for name in (self.network, self.enlarger, self.work, self.mask, self.proposal, *self.layers, *self.hidden):
            if name and not FILE.fullmatch(name):
                raise SettingError(f"{name[:80]!r} is no file's name; reload the page")
        if len(self.layers) > MAX_LAYERS:
            raise SettingError(f"there are {len(self.layers)} layers, over the limit of {MAX_LAYERS}; remove some")
        if len(self.note) > MAX_NOTE:
            raise SettingError(f"the note has {len(self.note)} characters, over the limit of {MAX_NOTE}; shorten it")

    @property
    def stack(self) -> list[str]:
        """The layers that are there; the page leaves an empty place for one that was lost."""
        return [name for name in self.layers if name]

    def of_fill(self) -> RestoreSettings:
        """What the restorer is told."""
        return RestoreSettings(method=self.method, grow=self.grow, feather=self.feather)
