"""What G and D play for.

Each loss is a pair of functions of logits of any shape; both return that shape, to be minimised.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from studio.registry import Registry


@dataclass(frozen=True)
class AdversarialLoss:
    """`generator(fake, real)` and `discriminator(real, fake)`.

    `relative` says that G's loss looks at the real logits too; others are handed None and spare a pass through D.
    A game that needs D's slope held brings what its paper holds it with: `weight_clip` bounds each of D's weights,
    `gp_weight` is the weight of `lipschitz_penalty`.
    """

    generator: Callable[[Tensor, Tensor | None], Tensor]
    discriminator: Callable[[Tensor, Tensor], Tensor]
    relative: bool = False
    weight_clip: float | None = None
    gp_weight: float = 0.0


LOSSES: Registry[AdversarialLoss] = Registry("adversarial loss")

# Goodfellow et al. 2014, section 3: G climbs log D(G(z)) because log(1 - D(G(z))) is flat where G is bad.
LOSSES.register("non-saturating")(
    AdversarialLoss(
        generator=lambda fake, real: F.softplus(-fake),
        discriminator=lambda real, fake: F.softplus(-real) + F.softplus(fake),
    )
)

# Jolicoeur-Martineau 2018, eq. 8-9, as in R3GAN (Huang et al. 2024, eq. 3): each fake against one real picture. A G
# that makes one picture only cannot win against all reals at once, which keeps small networks from collapsing.
LOSSES.register("relativistic")(
    AdversarialLoss(
        generator=lambda fake, real: F.softplus(real - fake),
        discriminator=lambda real, fake: F.softplus(fake - real),
        relative=True,
    )
)

# Lim & Ye 2017, as in Projected GANs: D stops pushing pictures that it has told apart by a margin.
LOSSES.register("hinge")(
    AdversarialLoss(
        generator=lambda fake, real: -fake,
        discriminator=lambda real, fake: F.relu(1 - real) + F.relu(1 + fake),
    )
)

# Goodfellow et al. 2014, eq. 1, as it was first written: one value, which D raises and G lowers. G learns little
# while D knows its pictures well; the non-saturating game mends that.
LOSSES.register("minimax")(
    AdversarialLoss(
        generator=lambda fake, real: -F.softplus(fake),
        discriminator=lambda real, fake: F.softplus(-real) + F.softplus(fake),
    )
)

# Mao et al. 2017, eq. 2 with a = -1 and b = c = 1, so that 0 is undecided as in the other games: fakes that lie far
# on the right side are pulled back too, and no logit grows without end.
LOSSES.register("least-squares")(
    AdversarialLoss(
        generator=lambda fake, real: (fake - 1).square() / 2,
        discriminator=lambda real, fake: ((real - 1).square() + (fake + 1).square()) / 2,
    )
)

# Arjovsky et al. 2017, "Wasserstein GAN", algorithm 1: D's weights stay within a box.
LOSSES.register("wasserstein-clip")(
    AdversarialLoss(
        generator=lambda fake, real: -fake, discriminator=lambda real, fake: fake - real, weight_clip=0.01
    )
)

# Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", eq. 3:
# D's slope is 1 between real and generated pictures.
LOSSES.register("wasserstein-gp")(
    AdversarialLoss(generator=lambda fake, real: -fake, discriminator=lambda real, fake: fake - real, gp_weight=10.0)
)


def losses(*, clipping: bool = True) -> list[str]:
    """Names for a menu.

    clipping: with those that clip D's weights, which equalised layers, scaled at run time, do not bear.
    """
    return [name for name in LOSSES.names() if clipping or LOSSES.get(name).weight_clip is None]
