"""What recipes with an autoencoder share: its bound, and how much the look of a picture counts in it."""

from dataclasses import dataclass

from torch import Tensor

from studio.config import Config, setting
from train.losses.variational import divergence, likeness
from train.perception import Perception


@dataclass(frozen=True)
class BoundSettings(Config):
    kl_weight: float = setting(
        1.0, "how much the noise must look random; less: sharper copies, more: better pictures at random",
        low=0, high=1000,
    )
    perceptual_weight: float = setting(
        0.1, "how much a copy must look like its picture to a network; 0 compares pixels alone", low=0, high=1000
    )


def bound(
    config: BoundSettings, perception: Perception, made: Tensor, wanted: Tensor, mean: Tensor, log_variance: Tensor
) -> dict[str, Tensor]:
    """The terms to be summed and minimised: the negative evidence lower bound a number of the picture, and the look.

    made, wanted [N, C, R, R]; mean and log_variance of the code [N, z_dim].
    """
    terms = {
        "loss_pixel": likeness(made, wanted),
        "loss_kl": config.kl_weight * divergence(mean, log_variance).mean() / wanted[0].numel(),
    }
    if config.perceptual_weight:
        terms["loss_look"] = config.perceptual_weight * perception.distance(made, wanted).mean()
    return terms
