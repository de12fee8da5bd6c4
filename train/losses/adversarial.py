"""What G and D play for. Each loss is a pair of functions of logits of any shape; both return that shape, to be minimised."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from studio.registry import Registry


@dataclass(frozen=True)
class AdversarialLoss:
    """`generator(fake, real)` and `discriminator(real, fake)`.

    `relative` says that G's loss looks at the real logits too; others are handed None and spare a pass through D.
    """

    generator: Callable[[Tensor, Tensor | None], Tensor]
    discriminator: Callable[[Tensor, Tensor], Tensor]
    relative: bool = False


LOSSES: Registry[AdversarialLoss] = Registry("adversarial loss")

# Goodfellow et al. 2014, section 3: G climbs log D(G(z)) because log(1 - D(G(z))) is flat where G is bad.
LOSSES.register("non-saturating")(
    AdversarialLoss(
        generator=lambda fake, real: F.softplus(-fake),
        discriminator=lambda real, fake: F.softplus(-real) + F.softplus(fake),
    )
)

# Jolicoeur-Martineau 2018, eq. 8-9, as in R3GAN (Huang et al. 2024, eq. 3): each fake against one real picture. A G that
# makes one picture only cannot win against all reals at once, which keeps small networks from collapsing.
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
