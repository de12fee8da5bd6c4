"""An arbitrary style network (studio/models/style.py), from photos and paintings.

Losses follow Huang & Belongie 2017 (AdaIN) and MicroAST (Wang et al. 2023): content and style in a fixed VGG, a
contrastive term that keeps styles apart, the photo itself where photo and style are one. Content is compared
with the photo in the style's colours, not with the photo: then it does not pull against the palette. Statistics
do not see what repeats itself; a discriminator of patches does, which is shown paintings without their colours
and told which style they should have.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studio.checkpoint import load_network
from studio.config import Config, setting
from studio.errors import SettingError
from studio.library import BUNDLED
from studio.models.style import VECTOR, StyleConfig, StyleNetwork, balanced, colour, colours, finished, whiten
from studio.nn.patch_discriminator import PatchDiscriminator
from studio.presets import PHOTOS, STYLES, photo_path, style_path
from train.augment import rotate_about_grey
from train.data import Pictures, decode
from train.losses.adversarial import LOSSES
from train.losses.perceptual import (
    Responses, content_loss, contrastive_loss, covariance, covariance_loss, flat_variation, moments, style_loss,
)
from train.recipes import RECIPES, Batch, LoopConfig, Phase, Recipe
from train.squares import open_squares, random_crops

CONTENT_SIDE, STYLE_SIDE = 320, 512  # px; crops are taken out of squares of these
CONTENT_LAYER = "relu3_1"  # at half size: shapes count, and how each stroke lies is free
COVARIANCE_LAYERS = ("relu2_1", "relu3_1")  # at full and at half size
NEAR_LAYER = "relu2_1"  # the deeper layers look at half size, where they see whole strokes and cost a quarter
MATRIX = 7  # contents and styles of the sample grid
SAMPLE_SIDE = 192
PLACES = 2**20  # px; from where the grain of a step is
CALIBRATION = 128  # crops on which the scale of style vectors is measured


@dataclass(frozen=True)
class StyleSettings(LoopConfig):
    styles: str = setting("", "folder or zip of paintings to take styles from")
    resolution: int = setting(128, "side of the crops", low=64, high=1024, unit="px")
    batch: int = setting(8, "photos a step, over all processes", low=2, high=1024)
    photos_a_style: int = setting(2, "photos a step that share one style", low=1, high=64, advanced=True)
    style_holdout: float = setting(0.2, "share of the paintings kept from training, to measure on", low=0, high=0.9)
    widths: tuple[int, ...] = setting(
        (16, 32, 64, 96), "channels at 1, 1/2, 1/4, 1/8 of the side", low=4, high=512, length=4, advanced=True
    )
    blocks: int = setting(4, "residual blocks", low=1, high=16, advanced=True)
    experts: int = setting(3, "kernels a layer mixes its own from", low=1, high=16, advanced=True)
    lr: float = setting(0.001, "Adam's learning rate", low=1e-7, high=0.1)
    d_lr: float = setting(0.0004, "D's own learning rate", low=1e-7, high=0.1, advanced=True)
    content_weight: float = setting(1.0, "how much the photo's shapes count", low=0, high=1000)
    style_weight: float = setting(3.0, "how much the painting's texture counts, channel by channel", low=0, high=1000)
    covariance_weight: float = setting(1.0, "how much its texture counts, channels together", low=0, high=1000)
    adversarial_weight: float = setting(0.2, "how much the discriminator of patches counts", low=0, high=1000)
    contrast_weight: float = setting(0.1, "how much styles are kept apart", low=0, high=1000, advanced=True)
    identity_weight: float = setting(
        2.0, "how much a photo in its own style stays itself", low=0, high=1000, advanced=True
    )
    flat_weight: float = setting(0.5, "how much texture in flat areas is held down", low=0, high=1000, advanced=True)

    paths: ClassVar[frozenset[str]] = frozenset({"styles"})
    changeable: ClassVar[frozenset[str]] = LoopConfig.changeable | {
        "content_weight", "style_weight", "covariance_weight", "adversarial_weight", "contrast_weight",
        "identity_weight", "flat_weight",
    }

    def check(self) -> None:
        if self.resolution % 8:
            raise SettingError(f"resolution={self.resolution} is no multiple of 8; give {self.resolution // 8 * 8}")
        if self.batch % self.photos_a_style:
            raise SettingError(f"batch={self.batch} is no multiple of photos_a_style={self.photos_a_style}; change one")

    def network(self) -> StyleConfig:
        return StyleConfig(widths=self.widths, blocks=self.blocks, experts=self.experts)


@RECIPES.register("style")
class StyleRecipe(Recipe):
    settings: ClassVar[type[LoopConfig]] = StyleSettings
    description: ClassVar[str] = (
        "Paints any photo in any painting's style in one pass; learns from photos and a folder of paintings."
    )

    def __init__(self, config: StyleSettings, pictures: Pictures, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        torch.manual_seed(config.seed)
        G = StyleNetwork(config.network())
        G.vgg = load_network(BUNDLED / "vgg")
        self.contents, self.styles = pictures, None
        if len(pictures):  # an export restores the weights alone
            self.styles = _open_styles(config)
            _calibrate(G, self.styles, config.resolution)
        G, D = G.to(device), PatchDiscriminator(told=VECTOR, spectral=True).to(device)
        self.networks = {"G": G, "D": D}
        self.ema = {"G": copy.deepcopy(G).eval().requires_grad_(False)}
        self.optimizers = {
            "G": torch.optim.Adam(G.parameters(), config.lr, (0.9, 0.99), fused=True),
            "D": torch.optim.Adam(D.parameters(), config.d_lr, (0.5, 0.99), fused=True),
        }
        self.game = LOSSES.get("hinge")
        self.shown: list[tuple[Tensor, Tensor, Tensor]] = []  # paintings, fakes and styles of the G phase, one a round
        self.phases = [Phase("G", "G", self.g_loss), Phase("D", "D", self.d_loss)]

    @classmethod
    def open_data(cls, config: StyleSettings, path: Path) -> Pictures:
        return open_squares(path, CONTENT_SIDE, part="train", holdout=config.holdout)

    def g_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        c, side = self.config, self.config.resolution
        count = max(len(batch.reals) // c.photos_a_style, 1)
        each = len(batch.reals) // count
        photos = random_crops(batch.reals, side, side)
        styles, paintings = self.draw_styles(count, each)
        places = torch.randint(PLACES, [len(photos), 2], device=self.device)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype == torch.bfloat16):
            G, D = self.networks["G"], self.networks["D"]
            white = whiten(photos, *colours(photos))
            code = G.encode(styles)
            spread = lambda t: t.repeat_interleave(each, dim=0)
            drawn, statistics = G.paint(white, code.texture, places=places)
            painted = finished(drawn, statistics[-1], spread(code.mean), spread(code.root))
            drawn = balanced(drawn, statistics[-1], spread(code.root))
            with torch.no_grad():
                recoloured = colour(white, spread(code.mean), spread(code.root)).clamp(-1, 1)
                shapes = G.vgg(F.avg_pool2d(recoloured, 2), smooth=True)[CONTENT_LAYER]
                wanted = [(moments(r), covariance(r[layer])) for r, layer in zip(self.look(styles), COVARIANCE_LAYERS)]
            near, far = self.look(painted)
            found = [(moments(r), covariance(r[layer])) for r, layer in zip((near, far), COVARIANCE_LAYERS)]

            own = G.encode(photos[:2])
            same, statistics = G.paint(white[:2], own.texture, places=places[:2])
            same = finished(same, statistics[-1], own.mean, own.root)

            with torch.no_grad():
                vectors = spread(G.scaled_vector(styles))
            judged, _ = D(drawn, vectors)
            self.shown.append((paintings, drawn.detach(), vectors))

        terms = {
            "content": c.content_weight * content_loss(far[CONTENT_LAYER], shapes).mean(),
            "style": c.style_weight * sum(style_loss(f[0], w[0]).mean() for f, w in zip(found, wanted)) / 2,
            "covariance": (
                c.covariance_weight * sum(covariance_loss(f[1], w[1]).mean() for f, w in zip(found, wanted)) / 2
            ),
            "adversarial": c.adversarial_weight * self.game.generator(judged, None).mean(),
            "contrast": c.contrast_weight * contrastive_loss(found[1][0], wanted[1][0]).mean(),
            "identity": c.identity_weight * (same - photos[:2]).abs().mean(),
            "flat": c.flat_weight * flat_variation(painted, recoloured).mean(),
            # paint lies within [-1, 1]; what the clamp would cut off teaches nothing by itself
            "range": (painted.abs() - 1).clamp(min=0).mean(),
        }
        loss = sum(terms.values())
        return loss, {"loss_G": loss, **{f"loss_{name}": term for name, term in terms.items()}}

    def d_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        D = self.networks["D"]
        paintings, fakes, vectors = self.shown.pop(0)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype == torch.bfloat16):
            real, fake = (D(shown, vectors)[0] for shown in (whiten(paintings, *colours(paintings)), fakes))
        loss = self.game.discriminator(real, fake).mean()
        return loss, {"loss_D": loss, "score_real": real.mean(), "score_fake": fake.mean()}

    def draw_styles(self, count: int, each: int) -> tuple[Tensor, Tensor]:
        """Random crops [count, 3, R, R] of random paintings, and `each` others of every painting
        [count * each, 3, R, R].

        Some paintings have their hues turned and their contrast changed.
        """
        side = self.config.resolution
        chosen = torch.randint(len(self.styles), [count]).tolist()
        squares = jitter(self.styles.load(chosen).to(self.device).float() / 127.5 - 1)
        return random_crops(squares, side, side), random_crops(squares, side, side, each)

    def look(self, pictures: Tensor) -> tuple[Responses, Responses]:
        """The VGG's responses to the pictures, up to NEAR_LAYER, and to the pictures at half their size."""
        vgg = self.networks["G"].vgg
        return vgg(pictures, last=NEAR_LAYER, smooth=True), vgg(F.avg_pool2d(pictures, 2), smooth=True)

    @torch.no_grad()
    def sample(self) -> Tensor:
        """A matrix: photos along the top, paintings down the side, grey in the corner.

        A run shows its own pictures; an export, which has none, the bundled ones that may be shown to everybody.
        """
        G = self.ema["G"]
        if self.styles is None:
            photos = _bundled(photo_path(name) for name in PHOTOS[:MATRIX])
            styles = _bundled(style_path(name) for name in STYLES[:MATRIX])
        else:
            pick = lambda data: data.load([i * len(data) // MATRIX for i in range(MATRIX)])
            photos, styles = (_resize(pick(data), SAMPLE_SIDE) for data in (self.contents, self.styles))
        photos, styles = photos.to(self.device), styles.to(self.device)
        rows = [torch.zeros_like(photos[:1]), photos]
        for style in styles.split(1):
            rows += [style, G(photos, G.encode(style))]
        return torch.cat(rows).cpu()

    def model(self) -> tuple[str, Config, nn.Module]:
        return "style", self.ema["G"].config, self.ema["G"]


def jitter(pictures: Tensor) -> Tensor:
    """Half of the pictures [N, 3, H, W] with hues turned by any angle and saturation changed by up to half."""
    n, device = len(pictures), pictures.device
    often = torch.rand(n, device=device) < 0.5
    angle = torch.where(often, torch.rand(n, device=device) * 2 * torch.pi, 0.0)
    saturation = torch.where(often, 0.5 + torch.rand(n, device=device), 1.0)[:, None, None]
    grey = torch.full([3, 3], 1 / 3, device=device)
    matrix = (grey + (torch.eye(3, device=device) - grey) * saturation) @ rotate_about_grey(angle)
    return torch.einsum("nij,njhw->nihw", matrix, pictures).clamp(-1, 1)


def _open_styles(config: StyleSettings) -> Pictures:
    if not config.styles:
        raise SettingError("styles is missing; give a folder or a zip of paintings with --styles")
    return open_squares(Path(config.styles), STYLE_SIDE, part="train", holdout=config.style_holdout)


@torch.no_grad()
def _calibrate(G: StyleNetwork, styles: Pictures, side: int) -> None:
    """Centre and scale style vectors by what crops of the paintings give, once:
    the code then starts well-conditioned.
    """
    chosen = torch.randint(len(styles), [CALIBRATION]).tolist()
    crops = jitter(random_crops(styles.load(chosen).float() / 127.5 - 1, side, side))
    vectors = torch.cat([G.vector(part) for part in crops.split(8)])
    G.vector_mean.copy_(vectors.mean(dim=0))
    G.vector_scale.copy_(1 / (vectors.std(dim=0) + 0.05))


def _bundled(paths: Iterable[Path]) -> Tensor:
    return torch.cat([_resize(decode(path.read_bytes(), SAMPLE_SIDE, 3)[None], SAMPLE_SIDE) for path in paths])


def _resize(pictures: Tensor, side: int) -> Tensor:
    return F.interpolate(pictures.float() / 127.5 - 1, size=(side, side), mode="bilinear", antialias=True).clamp(-1, 1)
