"""Masks of what is to be filled: read from files, written to them, grown, shrunk, measured.

A mask is [H, W] bool, True where the picture is to be filled. From the picture's edge nothing is known: a mask is not
shrunk from there. A line along it is as wide as what is seen of it.
"""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from studio.canvas import Window, tiles
from studio.errors import ImageError, SettingError
from studio.images import encode
from studio.originals import mask_levels
from studio.raster.opening import Picture, open_picture
from studio.raster.untrusted import Source

THRESHOLD = 128  # of 255; a grey of a mask file is white from there on
MAX_GROWTH = 64  # px
_SIDE = 1024  # px; of what is measured together


@dataclass(frozen=True, eq=False)
class MaskFile:
    """A mask as a file had it."""

    mask: np.ndarray
    grey_share: float  # of its pixels were neither black nor white

    @property
    def notes(self) -> tuple[str, ...]:
        """What the person should know of how it was understood."""
        if not self.grey_share:
            return ()
        share = f"{self.grey_share:.1%}" if self.grey_share >= 1e-3 else "under 0.1%"
        return (f"{share} of the mask is grey; what is at least {THRESHOLD} of 255 is filled",)


@dataclass(frozen=True)
class PackedMask:
    """A mask in little room, to be kept for long: those of cracks take a hundredth. Equal masks are equal."""

    size: tuple[int, int]  # height, width
    data: bytes

    @classmethod
    def of(cls, mask: np.ndarray) -> "PackedMask":
        return cls(mask.shape, zlib.compress(np.packbits(mask).tobytes(), 1))

    def unpack(self) -> np.ndarray:
        bits = np.frombuffer(zlib.decompress(self.data), np.uint8)
        return np.unpackbits(bits, count=self.size[0] * self.size[1]).view(bool).reshape(self.size)


@dataclass(frozen=True)
class Component:
    """One connected piece of a mask."""

    top: int
    left: int
    height: int
    width: int
    area_px: int
    widest_px: int  # the side of the largest disc that lies in it, as of a line of that width


def read_mask(source: Source, size: tuple[int, int]) -> MaskFile:
    """A mask for pictures of (width, height): white and opaque is filled.

    Raises ImageError for what is no picture or of another size.
    """
    picture = open_picture(source)
    if picture.size != size:
        sizes = "the mask has {} x {} px and the picture {} x {}".format(*picture.size, *size)
        raise ImageError(f"{sizes}; save the mask at the picture's size")
    levels = mask_levels(picture, picture, picture.pixels.shape[:2], fit=False)
    greys = np.count_nonzero((levels > 0) & (levels < 255))
    return MaskFile(levels >= THRESHOLD, greys / levels.size)


def encode_mask(mask: np.ndarray) -> bytes:
    """A mask as a PNG of black and white, which `read_mask` gives back as it was."""
    return encode(Picture(as_levels(mask)[..., None], "", 8, b"", b""), "PNG")


def check_fillable(mask: np.ndarray) -> None:
    """Raises SettingError for a mask that leaves nothing of the picture to fill from."""
    if mask.all():
        whole = "the mask covers 100% of the picture and leaves nothing to fill from"
        raise SettingError(f"{whole}; leave a part of it out")


def grown(mask: np.ndarray, px: int) -> np.ndarray:
    """The mask and all within `px` of it; shrunk where that is negative. Raises SettingError beyond MAX_GROWTH."""
    if not -MAX_GROWTH <= px <= MAX_GROWTH:
        raise SettingError(f"grow={px} is outside -{MAX_GROWTH}..{MAX_GROWTH} px (how far the mask is grown)")
    if px == 0:
        return mask.copy()
    if px > 0:
        return mask if mask.all() else _distance(~mask) <= px
    return mask & (_distance(mask) > -px)


def without_holes(mask: np.ndarray) -> np.ndarray:
    """The mask with all that it encloses."""
    padded = np.pad(as_levels(mask), 1)
    cv2.floodFill(padded, None, (0, 0), 128, flags=4)  # what reaches the edge through sides, not corners, is outside
    return padded[1:-1, 1:-1] != 128


def components(mask: np.ndarray) -> list[Component]:
    """The mask's connected pieces (8 neighbours), from the top down."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(as_levels(mask), connectivity=8, ltype=cv2.CV_32S)
    widest = np.zeros(count, np.float32)
    np.maximum.at(widest, labels[mask], _widths(mask)[mask])
    found = [
        Component(int(top), int(left), int(height), int(width), int(area), max(round(float(wide)), 1))
        for (left, top, width, height, area), wide in zip(stats[1:], widest[1:])
    ]
    return sorted(found, key=lambda part: (part.top, part.left))


def widest_px(mask: np.ndarray) -> int:
    """The diameter of the largest disc that lies in the mask; 0 for an empty one."""
    return max(round(float(_widths(mask).max())), 1) if mask.any() else 0


def depths(mask: np.ndarray, most: int) -> np.ndarray:
    """uint8 [H, W]: px, rounded up, from each place of the mask to the nearest outside, 0 there; `most` at most."""
    found = np.zeros(mask.shape, np.uint8)
    for tile in tiles(Window(0, mask.shape[0], 0, mask.shape[1]), _SIDE):
        if mask[tile.top : tile.bottom, tile.left : tile.right].any():
            wide = tile.grown(most).within(mask.shape)
            part = np.minimum(_distance(mask[wide.top : wide.bottom, wide.left : wide.right]), most)
            top, left = tile.top - wide.top, tile.left - wide.left
            inside = np.ceil(part[top : top + tile.height, left : left + tile.width])
            found[tile.top : tile.bottom, tile.left : tile.right] = inside
    return found


def opened(mask: np.ndarray, side: int) -> np.ndarray:
    """[H, W] bool: where squares of `side` px, an odd number, fit into the mask; beyond the edges it goes on."""
    return cv2.morphologyEx(as_levels(mask), cv2.MORPH_OPEN, np.ones((side, side), np.uint8)) > 0


def as_levels(mask: np.ndarray) -> np.ndarray:
    """uint8 [H, W], 255 where the mask is."""
    return mask.astype(np.uint8) * 255


def _widths(mask: np.ndarray) -> np.ndarray:
    """Twice the depth of each place, as exact for lines of even width as for those of odd."""
    padded = np.pad(mask, 1)
    # the middle of a line of even width lies between pixels: at the corner of a 2 x 2 square that fits in
    inner = padded & np.roll(padded, 1, 0) & np.roll(padded, 1, 1) & np.roll(padded, (1, 1), (0, 1))
    return np.maximum(2 * _distance(padded) - 1, 2 * _distance(inner))[1:-1, 1:-1]


def _distance(mask: np.ndarray) -> np.ndarray:
    """float32 [H, W]: px from each True to the nearest False, 0 at each False."""
    return cv2.distanceTransform(as_levels(mask), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
