"""Holes filled with what is elsewhere in the picture: texture goes on as texture, where a smooth surface would blur.

After Wexler et al. 2007 ("Space-Time Completion of Video"): every patch that touches a hole looks for its like among
those that are whole, and pixels become the mean of what the found patches say, again and again, from a small picture to
the full one. The likes are looked for as in PatchMatch (Barnes et al. 2009, "PatchMatch: A Randomized Correspondence
Algorithm for Structural Image Editing"), for all patches at once: good ones are handed on to neighbours, and tried
around at random.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.coarse import doubled, halved
from studio.masks import depths
from studio.nn.prefill import diffuse

REACH = 3  # px; patches are 7 x 7
MIN_SIDE = 24  # px; smaller pictures hold too few patches to choose from
GUESS_SIDE = 128  # px; a guess is taken at its word in what a smaller picture of it shows
ROUNDS = 8, 3  # of looking and painting, at the smallest and at the full size
SEARCHES = 3  # for each painting
NEARBY = 12  # px; how far around a like is searched that comes from a smaller picture
TRUST = 1.25  # how much less a pixel counts with every px that it lies deeper in the hole
DEEP = 40  # px; what lies deeper counts for nothing
AT_ONCE = 1 << 12  # patches; more at a time are not compared faster, and take more memory
BEYOND = 1e9  # a distance that no patch has


def exemplars(
    picture: Tensor, mask: Tensor, each: Callable[[], None] = lambda: None, guess: Tensor | None = None
) -> Tensor:
    """picture [1, C, H, W] in [-1, 1], mask [1, 1, H, W] bool, not all True -> the picture with its holes filled.

    Random numbers are the same every time. Where no patch is whole the surroundings go on smoothly, or the guess
    stays: another picture [1, C, H, W], from whose holes it begins. `each` is called before every comparison of
    AT_ONCE patches; what it raises stops the work.
    """
    if not mask.any():
        return picture
    sizes = [(torch.where(mask, 0.0, picture.float()).cpu(), mask.cpu())]
    guesses = [guess.float().cpu()] if guess is not None else []
    smallest = GUESS_SIDE if guesses else MIN_SIDE
    while sizes[-1][1].any() and min(sizes[-1][0].shape[2:]) >= 2 * smallest:
        if guesses:
            guesses.append(halved(guesses[-1], torch.zeros_like(sizes[-1][1]))[0])
        sizes.append(halved(*sizes[-1]))
    random, (x, holes) = torch.Generator().manual_seed(0), sizes.pop()
    begun = guesses.pop() if guesses else diffuse(x, holes.float())
    filled, likes = _complete(torch.where(holes, begun, x), holes, None, ROUNDS[0], random, each)
    while sizes:
        x, holes = sizes.pop()
        larger = guesses.pop() if guesses else None
        if larger is None or likes is not None:
            larger = doubled(filled, *x.shape[2:])
        rounds = ROUNDS[0] if sizes else ROUNDS[1]
        filled, likes = _complete(torch.where(holes, larger, x), holes, likes, rounds, random, each)
    return torch.where(mask, filled.to(picture), picture)


@dataclass
class _Patches:
    """A picture's patches, by the places of their centres in the picture with a border of REACH px."""

    pixels: Tensor  # [(H + 2 R) * (W + 2 R), C]
    trust: Tensor  # [(H + 2 R) * (W + 2 R)]: how much a pixel counts, from 0 to 1
    whole: Tensor  # bool [(H + 2 R) * (W + 2 R)]: centres of patches that are known and within the picture
    width: int  # W + 2 R
    around: Tensor  # int64 [49]: from a centre to the pixels of its patch

    @classmethod
    def of(cls, x: Tensor, mask: Tensor) -> "_Patches":
        r = REACH
        unknown = F.pad(mask.float(), (r, r, r, r), value=1.0)
        touched = F.max_pool2d(unknown, 2 * r + 1, 1, r) > 0
        deep = torch.from_numpy(depths(mask[0, 0].numpy(), DEEP)).float()
        trust = F.pad(TRUST**-deep, (r, r, r, r), value=0.0)
        width = x.shape[3] + 2 * r
        line = torch.arange(-r, r + 1)
        around = (line[:, None] * width + line).flatten()
        patches = cls(torch.empty(0), trust.flatten(), ~touched.flatten(), width, around)
        patches.show(x)
        return patches

    def show(self, x: Tensor) -> None:
        """Another picture [1, C, H, W] of that size."""
        self.pixels = F.pad(x, (REACH,) * 4, mode="replicate")[0].flatten(1).t().contiguous()

    def picture(self, pixels: Tensor) -> Tensor:
        """[places, C] -> [1, C, H, W], without the border."""
        return pixels.t().unflatten(1, (-1, self.width))[None, :, REACH:-REACH, REACH:-REACH]

    def place(self, y: Tensor, x: Tensor) -> Tensor:
        return (y + REACH) * self.width + x + REACH

    def told(self, before: Tensor, y: Tensor, x: Tensor, otherwise: Tensor) -> Tensor:
        """Of places y [N], x [N] the likes [N] by those at half the size [2, h, w], where that gives a whole patch."""
        old = before[:, y // 2, x // 2]
        new = 2 * old + torch.stack([y % 2, x % 2])
        height, width = len(self.trust) // self.width - 2 * REACH, self.width - 2 * REACH
        inside = (old[0] >= 0) & (new[0] < height) & (new[1] < width)
        place = torch.where(inside, self.place(new[0], new[1]), otherwise)
        return torch.where(self.whole[place], place, otherwise)

    def at(self, places: Tensor) -> Tensor:
        """The patches around places [N], as rows [N, 7 * 7 * C]."""
        side, channels = 2 * REACH + 1, self.pixels.shape[1]
        # a line of a patch lies in one piece, and is taken as one
        lines = self.pixels.as_strided((len(self.pixels) - side + 1, side * channels), (channels, 1))
        wanted = (places[:, None] + self.around[::side]).flatten()
        return lines.index_select(0, wanted).view(len(places), -1)

    def weights(self, places: Tensor) -> Tensor:
        """How much each number of these patches counts, [N, 7 * 7 * C]; those of one patch are C together."""
        trust = self.trust[places[:, None] + self.around]
        share = trust / trust.sum(dim=1, keepdim=True).clamp(min=1e-6)
        return share.repeat_interleave(self.pixels.shape[1], dim=1)


def _complete(
    x: Tensor, mask: Tensor, before: Tensor | None, rounds: int, random: torch.Generator, each: Callable[[], None]
) -> tuple[Tensor, Tensor | None]:
    """A guess x [1, C, H, W] with its holes painted anew, and the likes as places [2, H, W]: y, x; none without any.

    before: the likes at half the size.
    """
    patches = _Patches.of(x, mask)
    sources = patches.whole.nonzero()[:, 0]
    if not len(sources) or not mask.any():
        return x, None
    rim = F.max_pool2d(mask.float(), 2 * REACH + 1, 1, REACH)[0, 0] > 0
    y, x_ = rim.nonzero().unbind(1)
    likes = sources[torch.randint(len(sources), [len(y)], generator=random)]
    search, around = _Search(patches, patches.place(y, x_), random, each), max(x.shape[2:]) // 2
    if before is not None:
        likes, around = patches.told(before, y, x_, likes), NEARBY
    for _ in range(rounds):
        likes, apart = search.run(likes, around)
        x = torch.where(mask, patches.picture(_vote(patches, search.targets, likes, apart)), x)
        patches.show(x)
    places = torch.full((2, *x.shape[2:]), -1)
    places[0, y, x_], places[1, y, x_] = likes // patches.width - REACH, likes % patches.width - REACH
    return x, places


class _Search:
    """Looks for the likes of all targets at once."""

    def __init__(
        self, patches: _Patches, targets: Tensor, random: torch.Generator, each: Callable[[], None]
    ) -> None:
        self.patches, self.targets, self.random, self.each = patches, targets, random, each
        self.weights = patches.weights(targets)
        self.row = torch.full((len(patches.whole),), -1)
        self.row[targets] = torch.arange(len(targets))
        self.height = len(patches.whole) // patches.width

    def run(self, likes: Tensor, reach: int) -> tuple[Tensor, Tensor]:
        """Better likes [N], none farther from the last ones than reach px, and how far they are [N]."""
        self.shown = self.patches.at(self.targets)  # painted anew since the last run
        apart = self._apart(torch.arange(len(likes)), likes)
        for _ in range(SEARCHES):
            for step in (1, -1, self.patches.width, -self.patches.width):
                rows = self.row[self.targets + step]
                likes, apart = self._better(likes, apart, likes[rows] - step, rows >= 0)
            radius = reach
            while radius >= 1:
                y, x = likes // self.patches.width, likes % self.patches.width
                jump = torch.randint(-radius, radius + 1, (2, len(likes)), generator=self.random)
                y = (y + jump[0]).clamp(0, self.height - 1)
                x = (x + jump[1]).clamp(0, self.patches.width - 1)
                likes, apart = self._better(likes, apart, y * self.patches.width + x)
                radius //= 2
        return likes, apart

    def _better(
        self, likes: Tensor, apart: Tensor, others: Tensor, offered: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        others = others.clamp(0, len(self.patches.whole) - 1)
        usable = self.patches.whole[others] if offered is None else self.patches.whole[others] & offered
        rows = usable.nonzero()[:, 0]
        if not len(rows):
            return likes, apart
        found = torch.full_like(apart, BEYOND)
        found[rows] = self._apart(rows, others[rows])
        closer = found < apart
        return torch.where(closer, others, likes), torch.where(closer, found, apart)

    def _apart(self, rows: Tensor, likes: Tensor) -> Tensor:
        """Mean squared difference of the targets in these rows and their likes, each pixel as it is trusted: [N]."""
        found = []
        for some, theirs in zip(rows.split(AT_ONCE), likes.split(AT_ONCE)):
            self.each()
            differences = self.shown[some].sub_(self.patches.at(theirs))
            found.append(differences.square_().mul_(self.weights[some]).sum(dim=1))
        return torch.cat(found)


def _vote(patches: _Patches, targets: Tensor, likes: Tensor, apart: Tensor) -> Tensor:
    """What the likes say of every pixel, the nearer ones more: [(H + 2 R) * (W + 2 R), C]."""
    spread = apart.kthvalue(math.ceil(0.75 * len(apart))).values.clamp(min=1e-6)
    weight = torch.exp(-apart / (2 * spread)) * (patches.trust[targets] + 1e-3)
    sums = torch.zeros_like(patches.pixels)
    total = torch.zeros(len(patches.pixels))
    for step in patches.around.tolist():
        sums.index_add_(0, targets + step, patches.pixels[likes + step] * weight[:, None])
        total.index_add_(0, targets + step, weight)
    return sums / total.clamp(min=1e-9)[:, None]
