"""A discriminator of patches (Isola et al. 2017, arXiv:1611.07004): it judges texture wherever it is, and no layout.

Told what a picture should look like, it judges that too, by projection (Miyato & Koyama 2018, arXiv:1802.05637). Spectral
normalisation (Miyato et al. 2018, arXiv:1802.05957) holds it to a slope that G can climb, without a second derivative.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2


class PatchDiscriminator(nn.Module):
    """Pictures [N, channels, H, W] -> a logit for each patch [N, h, w]; each width is at half the side of the one before.

    `told`: size of the vectors [N, told] that say what each picture should look like; 0 for none.
    """

    def __init__(self, channels: int = 3, widths: Sequence[int] = (32, 64, 128), told: int = 0) -> None:
        super().__init__()
        sizes = [channels, *widths]
        strided = [nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in zip(sizes, sizes[1:])]
        self.layers = nn.ModuleList(map(spectral_norm, [*strided, nn.Conv2d(sizes[-1], sizes[-1], 3, padding=1)]))
        self.judge = spectral_norm(nn.Conv2d(sizes[-1], 1, 3, padding=1))
        self.project = spectral_norm(nn.Linear(told, sizes[-1], bias=False)) if told else None

    def forward(self, pictures: Tensor, wanted: Tensor | None = None) -> Tensor:
        x = pictures
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
        logits = self.judge(x)[:, 0]
        if self.project is None:
            return logits
        fits = (x * self.project(wanted)[:, :, None, None]).sum(dim=1)
        return logits + fits / x.shape[1] ** 0.5
