"""Arbitrary style transfer in one pass: any painting's palette and texture on any photo.

What it builds on: affine normalisation by style (Dumoulin et al. 2017, arXiv:1610.07629) predicted from a style picture
(Ghiasi et al. 2017, arXiv:1705.06830), whitening and colouring (Li et al. 2017, arXiv:1705.08086), kernels mixed from
experts (Yang et al. 2019, arXiv:1904.04971). What is its own:

* Colours are no matter of learning. A picture is whitened in RGB, painted in that colour-free space, and
  coloured with the style's mean and covariance: the palette is right for a style never seen, and "keep
  colour" is another matrix.
* The style is read as means and deviations of a fixed VGG's responses to the whitened style picture, so the network
  is told what it is judged by, in a form that does not depend on the palette.
* The network draws on top of the photo's own low frequencies, brought to it at a quarter of the size: layout and colour
  areas come without effort, edges and texture are its own to draw.
* Where a photo shows nothing, a network of convolutions can only repeat itself: it would weave a lattice into every
  sky. It is given grain to make strokes of, random numbers that depend on the place alone.
* Everything that depends on the whole picture is a mean and a deviation per channel (`Statistics`). Given
  those of a smaller copy, the network is a chain of convolutions, which runs in tiles without a seam and
  in a film without flicker.

Layer widths are for CPUs: most of the work is at an eighth of the picture's side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.config import Config, setting
from studio.models import MODELS, ModelFamily
from studio.models.vgg import CHANNELS, LAYERS, VGGEncoder

MULTIPLE = 8  # px; sides of the pictures that `paint` takes
COLOUR_EPS = 0.01  # variance added to a picture's colours: flat skies are not blown up into noise
DEVIATION_EPS = 1e-5
VARIANCE_EPS = 1e-12
SETTLE_EPS = 0.06  # added to both variances where a painting's colours are settled, with the same intent
BALANCE_EPS = 0.1  # of the variances that are brought to the style's: what has hardly any is not blown up into noise
VECTOR = 2 * sum(CHANNELS)
GRAIN = 4  # random numbers a place, at a quarter and at an eighth of the side
STYLE_SPAN = 0.4  # whitened pictures are about this many times wider than [-1, 1]

# mean and deviation [N, C, 1, 1] of each normalised layer, in order, and of the result
Statistics = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class StyleConfig(Config):
    widths: tuple[int, ...] = setting(
        (16, 32, 64, 96), "channels at 1, 1/2, 1/4 and 1/8 of the side", low=4, high=512, length=4
    )
    blocks: int = setting(4, "residual blocks at 1/8 of the side", low=1, high=16)
    experts: int = setting(3, "kernels that each layer at 1/8 mixes its own from", low=1, high=16)
    hidden: int = setting(256, "size of a style's code", low=8, high=2048)
    emphasis: tuple[float, ...] = setting(
        (1.0,) * len(LAYERS),
        "how strongly a style is told from each layer of the VGG, where it is more than was learned",
        low=0.0, high=4.0, length=len(LAYERS),
    )


@dataclass(frozen=True)
class StyleCode:
    """S styles. Codes blend: any weighted mean of codes is a style between them."""

    mean: Tensor  # [S, 3] of the colours
    root: Tensor  # [S, 3, 3] the square root of the colours' covariance
    texture: Tensor  # [S, hidden]

    def __len__(self) -> int:
        return len(self.texture)

    def colours_of(self, other: "StyleCode") -> "StyleCode":
        """This texture in the other's colours."""
        return StyleCode(other.mean, other.root, self.texture)


def blend(codes: StyleCode, weights: Tensor) -> StyleCode:
    """S styles and weights [S], which need not sum to 1 -> one style."""
    weights = (weights / weights.sum()).to(codes.texture)
    mix = lambda values: torch.einsum("s,s...->...", weights, values)[None]
    return StyleCode(mix(codes.mean), mix(codes.root), mix(codes.texture))


def colours(pictures: Tensor, eps: float = COLOUR_EPS) -> tuple[Tensor, Tensor]:
    """pictures [N, 3, H, W] -> mean [N, 3] and the symmetric square root [N, 3, 3] of the covariance, never singular.

    eps: variance added in all directions.
    """
    with torch.autocast(pictures.device.type, enabled=False):
        flat = pictures.float().flatten(2)
        mean = flat.mean(dim=2)
        centred = flat - mean[:, :, None]
        covariance = centred @ centred.transpose(1, 2) / flat.shape[2]
    return mean.to(pictures.dtype), _root(covariance, eps).to(pictures)


def _root(covariance: Tensor, eps: float) -> Tensor:
    """The symmetric square root [N, 3, 3] of covariance + eps."""
    # on the CPU and with all digits: not every device has either, and the matrices are of 3x3
    values, vectors = torch.linalg.eigh(covariance.cpu().double() + eps * torch.eye(3))
    return vectors @ torch.diag_embed(values.clamp(min=eps).sqrt()) @ vectors.transpose(1, 2)


def whiten(pictures: Tensor, mean: Tensor, root: Tensor) -> Tensor:
    """pictures [N, 3, H, W] of these colours -> mean 0 and covariance at most 1, with the same hues."""
    inverse = torch.linalg.inv(root)
    return recolour(pictures, inverse, -(inverse * mean[:, None]).sum(dim=2, keepdim=True))


def colour(pictures: Tensor, mean: Tensor, root: Tensor) -> Tensor:
    """The inverse of `whiten`, with any colours."""
    return recolour(pictures, root, mean[:, :, None])


def balanced(drawn: Tensor, statistics: tuple[Tensor, Tensor], root: Tensor) -> Tensor:
    """drawn [N, 3, H, W] with these moments -> what `colour` gives the right colours to, whatever was drawn.

    statistics: as in `Statistics`; root [N, 3, 3] of the colours it is to have.
    """
    mean, deviation = statistics
    return (drawn - mean) * balance(deviation, root)[:, :, None, None]


def balance(deviation: Tensor, root: Tensor) -> Tensor:
    """deviation [N, 3, 1, 1] of what was drawn, root [N, 3, 3] -> gains [N, 3].

    A picture in its own colours has gains of 1.
    """
    # whitened pictures have variances of a little less than 1, for COLOUR_EPS was added before
    wanted = 1 - COLOUR_EPS * torch.linalg.inv(root).square().sum(dim=2)
    return ((wanted + BALANCE_EPS) / (deviation[:, :, 0, 0].square() + BALANCE_EPS)).sqrt()


def settling(painted: Tensor, mean: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """For `recolour`: matrix [N, 3, 3] and term [N, 3, 1] that bring painted [N, 3, H, W]
    to colours of `mean` and `root`.

    What is cut off beyond white and black, and what the layers have mixed up between the colours, is made good. A
    painting in its own colours stays as it is.
    """
    found_mean, found = colours(painted, SETTLE_EPS)
    with torch.autocast(painted.device.type, enabled=False):
        wanted = _root(root @ root, SETTLE_EPS - COLOUR_EPS).to(root)
        matrix = wanted @ torch.linalg.inv(found)
        return matrix, mean[:, :, None] - matrix @ found_mean[:, :, None]


def finished(drawn: Tensor, statistics: tuple[Tensor, Tensor], mean: Tensor, root: Tensor) -> Tensor:
    """drawn [N, 3, H, W] with these moments -> in the colours of mean [N, 3] and root [N, 3, 3],
    balanced and settled; not clamped.
    """
    painted = colour(balanced(drawn, statistics, root), mean, root)
    with torch.no_grad():  # an eigenvector has no gradient where two values are equal
        matrix, term = settling(painted.clamp(-1, 1), mean, root)
    return recolour(painted, matrix, term)


def recolour(pictures: Tensor, matrix: Tensor, term: Tensor) -> Tensor:
    """matrix [N, 3, 3] and term [N, 3, 1] on every pixel. A 1x1 convolution takes nine times as long on a CPU."""
    with torch.autocast(pictures.device.type, enabled=False):  # half of the digits would show as bands
        return torch.baddbmm(term, matrix, pictures.float().flatten(2)).view_as(pictures)


def moments(x: Tensor, together: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and deviation [N, C, 1, 1] of x [N, C, H, W], or [1, C, 1, 1] of all of them `together`.

    torch.std_mean says the same in ten times the time where channels lie side by side.
    """
    dims = (0, 2, 3) if together else (2, 3)
    mean = x.mean(dim=dims, keepdim=True)
    variance = (x - mean).square().mean(dim=dims, keepdim=True)
    return mean, (variance + VARIANCE_EPS).sqrt()  # of a flat picture, too, it has a gradient


class StyledConv(nn.Module):
    """A convolution, normalised, with the gain and bias of a style, then ReLU if `activate`.

    x [N, in, H, W], texture [S, hidden], N a multiple of S: neighbours share a style -> [N, out, H', W'].
    `up`: twice the side, as a convolution after bilinear enlargement would.
    `experts` kernels are mixed by the style; the first is always whole.
    """

    def __init__(
        self, inside: int, out: int, hidden: int, *, up: bool = False, stride: int = 1, experts: int = 1,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.up, self.stride, self.activate = up, stride, activate
        weight = torch.randn(experts, out, inside, 3, 3) * (2 / (9 * inside)) ** 0.5
        weight[1:] *= 0.1
        self.weight = nn.Parameter(weight)
        self.affine = nn.Linear(hidden, 2 * out)
        self.mix = nn.Linear(hidden, experts - 1) if experts > 1 else None
        nn.init.normal_(self.affine.weight, std=0.02)
        with torch.no_grad():
            self.affine.bias.copy_(torch.cat([torch.ones(out), torch.zeros(out)]))

    def kernels(self, texture: Tensor) -> Tensor:
        """[S, out, in, 3, 3], or one for all [1, ...] where there are no experts."""
        if self.mix is None:
            return self.weight
        return self.weight[:1] + torch.einsum("se,eoikl->soikl", self.mix(texture), self.weight[1:])

    def convolve(self, x: Tensor, kernels: Tensor) -> Tensor:
        """Without gain and bias. Borders mirror, so that no frame is drawn around the picture."""
        x = pad(x, 1)
        run = upsampling if self.up else lambda part, kernel: F.conv2d(part, kernel, stride=self.stride)
        if len(kernels) == 1:
            return run(x, kernels[0].contiguous(memory_format=torch.channels_last))
        return torch.cat([run(part, kernel) for part, kernel in zip(x.chunk(len(kernels)), kernels)])

    def forward(
        self, x: Tensor, texture: Tensor, given: Statistics | None, found: Statistics, together: bool = False
    ) -> Tensor:
        """`given` statistics are consumed from the front; those used are appended to `found`."""
        x = self.convolve(x, self.kernels(texture))
        mean, deviation = moments(x, together) if given is None else given[len(found)]
        found.append((mean, deviation))
        gain, bias = (
            self.affine(texture).repeat_interleave(len(x) // len(texture), dim=0)[:, :, None, None].chunk(2, dim=1)
        )
        gain = gain / (deviation + DEVIATION_EPS)
        x = torch.addcmul(bias - mean * gain, x, gain)
        return F.relu_(x) if self.activate else x


def pad(x: Tensor, by: int) -> Tensor:
    return F.pad(x, (by, by, by, by), mode="reflect").contiguous(memory_format=torch.channels_last)


def upsampling(x: Tensor, kernel: Tensor) -> Tensor:
    """x [N, in, H + 2, W + 2] -> [N, out, 2H, 2W]: bilinear, then the 3x3 kernel, as one transposed convolution.

    Bilinear enlargement is 4x4 taps after zeros; with the kernel they are 6x6 at a stride of 2, nine a pixel.
    """
    return F.conv_transpose2d(x, upsampling_taps(kernel), stride=2, padding=4)


def upsampling_taps(kernel: Tensor) -> Tensor:
    """kernel [out, in, 3, 3] -> the transposed convolution's [in, out, 6, 6]."""
    tent = kernel.new_tensor([0.25, 0.75, 0.75, 0.25])
    taps = F.conv2d(kernel.flatten(0, 1)[:, None].flip(2, 3), torch.outer(tent, tent)[None, None], padding=3)
    return taps.view(*kernel.shape[:2], 6, 6).transpose(0, 1).contiguous(memory_format=torch.channels_last)


def grain(height: int, width: int, top: Tensor, left: Tensor) -> Tensor:
    """[N, height, width, GRAIN]: random numbers of mean 0 and variance 1, always the same ones at the same place.

    top, left [N]: whole numbers, the places of the first ones. They are hashed, after Wellons 2018, "Prospecting for
    hash functions": a window of a large picture has the numbers that the whole picture has there.
    """
    count = lambda n: torch.arange(n, device=top.device)
    rows, columns = top[:, None] + count(height), left[:, None] + count(width)
    x = _hash(_hash(_hash(rows)[:, :, None] + columns[:, None])[..., None] + count(GRAIN))
    return (x.float() / 2**32 - 0.5) * 12**0.5


def _hash(x: Tensor) -> Tensor:
    """Whole numbers -> random ones of 32 bits."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF
    return x


def add_grain(x: Tensor, gains: Tensor, step: int, top: Tensor, left: Tensor) -> Tensor:
    """x [N, C, H, W] and grain with gains [GRAIN, C]. One place is `step` px of the picture; top, left [N] in px."""
    places = grain(*x.shape[2:], top // step, left // step).to(x.dtype)
    return x + (places @ gains).permute(0, 3, 1, 2)


def low_frequencies(white: Tensor) -> Tensor:
    """White [N, 3, H, W] by way of a quarter of its size."""
    return F.interpolate(F.avg_pool2d(white, 4), scale_factor=4, mode="bilinear")


def emphasised(factors: Sequence[float]) -> Tensor:
    """A factor for each layer of the VGG -> one for each number of a style's vector [1280]."""
    return torch.cat([torch.full((2 * count,), factor) for count, factor in zip(CHANNELS, factors, strict=True)])


class StyleNetwork(nn.Module):
    """Pictures and styles are [N, 3, H, W] in [-1, 1]. It is a Styler (studio/capabilities.py)."""

    def __init__(self, config: StyleConfig = StyleConfig()) -> None:
        super().__init__()
        self.config = config
        a, b, c, d = config.widths
        hidden, experts = config.hidden, config.experts
        self.vgg = VGGEncoder()
        self.register_buffer("vector_mean", torch.zeros(VECTOR))
        self.register_buffer("vector_scale", torch.ones(VECTOR))
        self.register_buffer("emphasis", emphasised(config.emphasis), persistent=False)
        self.code = nn.Sequential(
            nn.Linear(VECTOR, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden), nn.LeakyReLU(0.2)
        )
        self.down = nn.ModuleList([
            StyledConv(3, a, hidden), StyledConv(a, b, hidden, stride=2), StyledConv(b, c, hidden, stride=2),
            StyledConv(c, d, hidden, stride=2),
        ])
        self.blocks = nn.ModuleList([
            nn.ModuleList([
                StyledConv(d, d, hidden, experts=experts), StyledConv(d, d, hidden, experts=experts, activate=False)
            ])
            for _ in range(config.blocks)
        ])
        self.up = nn.ModuleList([
            StyledConv(d, c, hidden, up=True), StyledConv(c, b, hidden, up=True), StyledConv(b, a, hidden, up=True),
        ])
        self.fine = nn.ModuleList([StyledConv(c, c, hidden), StyledConv(c, c, hidden, activate=False)])
        self.coarse_grain = nn.Parameter(torch.randn(GRAIN, d) * 0.1)
        self.fine_grain = nn.Parameter(torch.randn(GRAIN, c) * 0.1)
        self.draw = nn.Conv2d(a, 3, 3)
        nn.init.normal_(self.draw.weight, std=0.01)
        nn.init.zeros_(self.draw.bias)

    def vector(self, styles: Tensor) -> Tensor:
        """What the style is read from: [S, 1280], mean and log deviation of each channel of the VGG."""
        mean, root = colours(styles)
        responses = self.vgg(whiten(styles, mean, root) * STYLE_SPAN)
        parts = []
        for layer in LAYERS:
            average, deviation = (t[:, :, 0, 0] for t in moments(responses[layer]))
            parts += [average, (deviation + 0.01).log()]
        return torch.cat(parts, dim=1)

    def scaled_vector(self, styles: Tensor) -> Tensor:
        """`vector` with about mean 0 and deviation 1 over paintings."""
        return (self.vector(styles) - self.vector_mean) * self.vector_scale

    def encode(self, styles: Tensor) -> StyleCode:
        """styles [S, 3, H, W], sides at least 4 px. The texture depends on the strokes' size in pixels."""
        mean, root = colours(styles)
        return StyleCode(mean, root, self.code(self.scaled_vector(styles) * self.emphasis))

    def paint(
        self, white: Tensor, texture: Tensor, given: Statistics | None = None, *, together: bool = False,
        places: Tensor | None = None,
    ) -> tuple[Tensor, Statistics]:
        """Whitened pictures [N, 3, H, W], sides multiples of 8 and at least 16 -> the same, painted;
        and the statistics.

        The last of those are of what is painted, for `balanced`. texture [S, hidden] with N a multiple of S. `given`
        statistics stand for the picture's own; `together`, the pictures are samples of one and share theirs. places
        [N, 2]: of the first pixel, for the grain; (0, 0) by default.
        """
        found: Statistics = []
        places = torch.zeros(len(white), 2, dtype=torch.long, device=white.device) if places is None else places
        run = lambda layer, x: layer(x, texture, given, found, together)
        x, quarter = white, None
        for layer in self.down:
            x = run(layer, x)
            quarter = x if layer is self.down[2] else quarter
        x = add_grain(x, self.coarse_grain, 8, *places.unbind(1))
        for first, second in self.blocks:
            x = x + run(second, run(first, x))
        x = add_grain(run(self.up[0], x) + quarter, self.fine_grain, 4, *places.unbind(1))
        x = x + run(self.fine[1], run(self.fine[0], x))
        for layer in self.up[1:]:
            x = run(layer, x)
        drawn = low_frequencies(white) + F.conv2d(pad(x, 1), self.draw.weight, self.draw.bias)
        found.append(moments(drawn, together) if given is None else given[len(found)])
        return drawn, found

    def fold(self, style: StyleCode, given: Statistics, mean: Tensor, root: Tensor) -> nn.Module:
        """A faster painter for one style, given statistics, and photos of colours `mean` [1, 3] and `root` [1, 3, 3].

        It takes and gives pictures [1, 3, H, W] in [-1, 1] as this network does, before their colours are settled;
        what is painted somewhere depends on what is at most `reach` px away.
        """
        from studio.models._style_inference import FoldedStyle

        return FoldedStyle(self, style, given, mean, root)

    def forward(self, pictures: Tensor, style: StyleCode) -> Tensor:
        """The pictures in the style, in [-1, 1]; sides multiples of 8 and at least 16, N a multiple of len(style)."""
        white = whiten(pictures, *colours(pictures))
        each = len(pictures) // len(style)
        mean, root = (t.repeat_interleave(each, dim=0) for t in (style.mean, style.root))
        drawn, statistics = self.paint(white, style.texture)
        return finished(drawn, statistics[-1], mean, root).clamp(-1, 1)


MODELS.register("style")(
    ModelFamily(
        StyleConfig, StyleNetwork, "style", "Atelier's arbitrary style network",
        "after Ghiasi et al. 2017, arXiv:1705.06830",
    )
)
