"""lightweight-gan's and stylegan2-pytorch's generators, built again of plain torch modules under their names."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.formats.foreign import Noise

HEADS, WIDTH = 8, 64


class ChannelNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g, self.b = (nn.Parameter(torch.zeros(1, channels, 1, 1)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)
        return y * self.g + self.b


class Attention(nn.Module):
    """One place and one head at a time."""

    def __init__(self, channels: int, local: bool) -> None:
        super().__init__()
        self.local, inner = local, HEADS * WIDTH
        names = ("to_lin_q", "to_lin_kv") if local else ("to_q", "to_kv")
        self.add_module(names[0], nn.Conv2d(channels, inner, 1, bias=False))
        pair = nn.Module()
        pair.net = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, 2 * inner, 1, bias=False)
        )
        self.add_module(names[1], pair)
        self.everywhere = lambda x: (getattr(self, names[0])(x), *pair.net(x).chunk(2, dim=1))
        if local:
            self.to_q = nn.Conv2d(channels, inner, 1, bias=False)
            self.to_kv = nn.Conv2d(channels, 2 * inner, 1, bias=False)
        self.to_out = nn.Conv2d(inner * (2 if local else 1), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [F.gelu(self._heads(self._global, *self.everywhere(x)))]
        if self.local:
            parts.append(self._heads(self._near, self.to_q(x), *self.to_kv(x).chunk(2, dim=1)))
        return self.to_out(torch.cat(parts, dim=1))

    def _heads(self, mix: object, *maps: Tensor) -> Tensor:
        heads = zip(*(m.split(WIDTH, dim=1) for m in maps))
        return torch.cat([torch.stack([mix(*one) for one in zip(*head)]) for head in heads], dim=1)

    @staticmethod
    def _global(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (m.flatten(1).T for m in (q, k, v))  # [places, WIDTH]
        context = k.softmax(dim=0).T @ v
        return (q.softmax(dim=1) / 8 @ context).T.reshape(WIDTH, int(len(q) ** 0.5), -1)

    @staticmethod
    def _near(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = torch.empty_like(q)
        k, v = (F.pad(m, (1, 1, 1, 1)) for m in (k, v))
        for i in range(q.shape[1]):
            for j in range(q.shape[2]):
                around = lambda m: m[:, i : i + 3, j : j + 3].flatten(1)
                out[:, i, j] = around(v) @ (around(k).T @ q[:, i, j] / 8).softmax(dim=0)
        return out


class PreNorm(nn.Module):
    def __init__(self, channels: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = ChannelNorm(channels), fn

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fn(self.norm(x))


class Blur(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("f", torch.tensor([1.0, 2.0, 1.0]))

    def forward(self, x: Tensor) -> Tensor:
        shapes = (1, 1, 3, 1), (1, 1, 1, 3)
        down, across = (self.f.view(shape).expand(x.shape[1], 1, *shape[2:]) / 4 for shape in shapes)
        x = F.conv2d(F.pad(x, (0, 0, 1, 1), mode="reflect"), down, groups=x.shape[1])
        return F.conv2d(F.pad(x, (1, 1, 0, 0), mode="reflect"), across, groups=x.shape[1])


class Context(nn.Module):
    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.to_k = nn.Conv2d(a, 1, 1)
        c = max(3, b // 2)
        self.net = nn.Sequential(nn.Conv2d(a, c, 1), nn.LeakyReLU(0.1), nn.Conv2d(c, b, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        where = self.to_k(x).flatten(1).softmax(dim=1).view(len(x), 1, *x.shape[2:])
        return self.net((x * where).sum(dim=(2, 3), keepdim=True))


class Shuffle(nn.Module):
    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(a, 4 * b, 1), nn.SiLU(), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class LightweightGAN(nn.Module):
    """Of 128 px. version: 1.2, 1.0, 0.21 or 0.20, which is HugGAN's."""

    def __init__(self, version: str, z_dim: int, widths: list[int], channels: int = 3, attend: int = 0) -> None:
        super().__init__()
        start = nn.ConvTranspose2d(z_dim, 2 * z_dim, 4)
        self.initial_conv = nn.Sequential(start, nn.BatchNorm2d(2 * z_dim), nn.GLU(1))
        self.layers = nn.ModuleList()
        for i, (a, b) in enumerate(zip([z_dim, *widths], widths)):
            if version >= "1":
                c = a if version == "1.2" else b
                conv = nn.Sequential(nn.ZeroPad2d((2, 1, 2, 1)), nn.Conv2d(c, 2 * b, 4))
                grow = [Shuffle(a, c), Blur(), conv, Noise()]
            else:
                up = nn.Upsample(scale_factor=2, mode="bilinear" if version == "0.21" else "nearest")
                grow = [up, nn.Identity(), nn.Conv2d(a, 2 * b, 3, padding=1)] + [Noise()] * (version == "0.21")
            grow = nn.Sequential(*grow, nn.BatchNorm2d(2 * b), nn.GLU(1))
            excite = Context(b, widths[4]) if i == 1 else None
            attention = PreNorm(a, Attention(a, version > "0.20")) if 2 ** (i + 2) == attend else None
            self.layers.append(nn.ModuleList([grow, excite, attention]))
        self.out_conv = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = F.normalize(self.initial_conv(z[:, :, None, None]), dim=1)
        for i, (grow, excite, attention) in enumerate(self.layers):
            x = grow(x if attention is None else attention(x))
            gate = gate if excite is None and i else excite and excite(x)
            x = x * gate if i == 4 else x
        return self.out_conv(x)


class Modulated(nn.Module):
    """Each picture's own weights, one picture at a time."""

    def __init__(self, a: int, b: int, kernel: int, demodulate: bool) -> None:
        super().__init__()
        self.weight, self.demodulate = nn.Parameter(torch.zeros(b, a, kernel, kernel)), demodulate

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        made = []
        for one, s in zip(x, style):
            weight = self.weight * (1 + s)[None, :, None, None]
            if self.demodulate:
                weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
            made.append(F.conv2d(one[None], weight, padding=weight.shape[2] // 2))
        return torch.cat(made)


class Block(nn.Module):
    def __init__(self, a: int, b: int, w_dim: int, colours: int, last: bool) -> None:
        super().__init__()
        self.last = last
        self.to_style1, self.to_style2 = nn.Linear(w_dim, a), nn.Linear(w_dim, b)
        self.to_noise1, self.to_noise2 = nn.Linear(1, b), nn.Linear(1, b)
        self.conv1, self.conv2 = Modulated(a, b, 3, True), Modulated(b, b, 3, True)
        self.to_rgb = nn.Module()
        self.to_rgb.to_style, self.to_rgb.conv = nn.Linear(w_dim, b), Modulated(b, colours, 1, False)
        if not last:
            self.to_rgb.upsample = nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), Blur())

    def forward(self, x: Tensor, picture: Tensor | float, w: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """noise [H, W]."""
        first, second = (self.conv1, self.to_style1, self.to_noise1), (self.conv2, self.to_style2, self.to_noise2)
        for conv, style, weigh in (first, second):
            added = weigh(noise[: x.shape[3], : x.shape[2], None]).permute(2, 1, 0)  # rows are columns there
            x = F.leaky_relu(conv(x, style(w)) + added, 0.2)
        picture = picture + self.to_rgb.conv(x, self.to_rgb.to_style(w))
        return x, picture if self.last else self.to_rgb.upsample(picture)


class StyleGAN2(nn.Module):
    def __init__(
        self, side: int, w_dim: int, widths: list[int], depth: int, colours: int = 3, attend: int = 0,
        const: bool = True,
    ) -> None:
        super().__init__()
        self.S, self.G = nn.Module(), nn.Module()
        pair = lambda: (nn.Linear(w_dim, w_dim), nn.LeakyReLU(0.2))
        self.S.net = nn.Sequential(*(layer for _ in range(depth) for layer in pair()))
        if const:
            self.G.initial_block = nn.Parameter(torch.zeros(1, widths[0], 4, 4))
        else:
            self.G.to_initial_block = nn.ConvTranspose2d(w_dim, widths[0], 4, bias=False)
        self.G.initial_conv = nn.Conv2d(widths[0], widths[0], 3, padding=1)
        pairs = list(zip([widths[0], *widths], widths))
        last = len(widths) - 1
        self.G.blocks = nn.ModuleList(Block(a, b, w_dim, colours, i == last) for i, (a, b) in enumerate(pairs))
        self.G.attns = nn.ModuleList()
        for i, (a, _) in enumerate(pairs):
            wide = nn.Sequential(nn.Conv2d(a, 2 * a, 1), nn.LeakyReLU(0.2), nn.Conv2d(2 * a, a, 1))
            both = nn.Sequential(*(_wrapped(PreNorm(a, fn)) for fn in (Attention(a, False), wide)))
            self.G.attns.append(both if 2 ** (i + 2) == attend else None)

    def style(self, z: Tensor, rate: float) -> Tensor:
        x = F.normalize(z, dim=1)
        for layer in self.S.net:
            x = F.linear(x, layer.weight * rate, layer.bias * rate) if isinstance(layer, nn.Linear) else layer(x)
        return x

    def forward(self, ws: Tensor, noise: Tensor) -> Tensor:
        first = getattr(self.G, "initial_block", None)
        if first is None:
            x = self.G.to_initial_block(ws.mean(dim=1)[:, :, None, None])
        else:
            x = first.expand(len(ws), -1, -1, -1)
        x, picture = self.G.initial_conv(x), 0.0
        for i, (block, attention) in enumerate(zip(self.G.blocks, self.G.attns)):
            x = x if attention is None else attention(x)
            x = x if i == 0 else F.interpolate(x, scale_factor=2, mode="bilinear")
            x, picture = block(x, picture, ws[:, i], noise)
        return picture


def _wrapped(layer: nn.Module) -> nn.Module:
    outer = nn.Module()
    outer.fn, outer.forward = layer, layer.forward
    return outer
