"""Train: pictures dropped here become a model, in a process of its own that this page need not be open for."""

from studio.footage import SUFFIXES as FILMS
from studio.raster.listing import SUFFIXES
from studio.ui.components.workshop import workshop
from studio.ui.handlers.train import TrainHandlers
from studio.ui.handlers.train_pictures import MAX_PICTURES
from studio.ui.handlers.train_work import AROUND_S, MAX_CARD, MEASURE_S
from studio.ui.services import Services

ORDER = 50
TITLE = "train.title"
PRESETS = (  # of those that come with the studio, which the locales tell of
    "small_computer", "few_pictures", "first_look", "steady", "every_picture", "gpu_128", "gpu_256",
)
SMALL = "few-pictures"  # offered where there are few
# What the locales name and explain; the page falls back on the recipe's own words for a setting that is not here.
SETTINGS = (
    "kimg", "batch", "accumulate", "seed", "holdout", "mirror", "ema_kimg", "ema_rampup", "tick_kimg", "sample_ticks",
    "keep_ticks", "precision", "init", "resolution", "channels", "fit", "classes", "z_dim", "lr", "d_lr", "optimizer",
    "beta1", "schedule", "clip_grad", "loss", "r1_gamma", "r1_interval", "r2", "gp_weight", "augment", "ada_target",
    "ada_kimg", "freeze_d", "g_wait_kimg", "w_dim", "mapping_layers", "channel_base", "channel_max", "pl_weight",
    "pl_interval", "mbstd_group", "mbstd_features", "style_mixing", "width", "redraw_weight", "redraw_share", "d_norm",
    "kl_weight", "perceptual_weight", "adversarial_weight", "styles", "photos_a_style", "style_holdout", "widths",
    "blocks", "experts", "content_weight", "style_weight", "covariance_weight", "contrast_weight", "identity_weight",
    "flat_weight", "detail", "detail_blocks", "d_widths", "crops", "holes", "hole_weight", "hole_squares",
    "perceptual_full", "matching_weight", "scales", "pixel_weight", "rarity", "dice_weight", "measure_ticks",
    "measure_samples", "measure_features", "patience", "rollbacks",
)
METHODS = ("stylegan2", "fastgan", "r3gan", "dcgan", "vae", "vaegan", "style", "inpaint", "upscale", "damage")
_PARTS = ("train", "train_pictures", "train_recipe", "train_use", "train_runs")


def shown(services: Services) -> bool:
    """Not where visitors of a public page would train on a machine that is not theirs."""
    return services.trainer is not None


def build(services: Services) -> None:
    handlers = TrainHandlers(services)
    workshop(
        "train", _PARTS, handlers.functions(),
        recipes=handlers.recipes.described(),
        watching=handlers.recipes.watched(),
        gpu=services.engine.device.type != "cpu",
        paths=services.paths,
        suffixes=sorted(SUFFIXES),
        films=list(FILMS),
        most=MAX_PICTURES,
        max_bytes=services.desks.limits.file,
        measure_s=MEASURE_S + AROUND_S,
        small_preset=SMALL,
        max_card=MAX_CARD,
    )
