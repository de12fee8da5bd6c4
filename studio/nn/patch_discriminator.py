"""A discriminator of patches (Isola et al. 2017, arXiv:1611.07004): it judges texture wherever it is, and no layout.

Told what a picture should look like, it judges that too, by projection (Miyato & Koyama 2018, arXiv:1802.05637). It
has no normalisation over pictures or places: what it says of a patch depends on that patch. Its slope is held by R1,
or by spectral normalisation (Miyato et al. 2018, arXiv:1802.05957), which needs no second derivative.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2


class PatchDiscriminator(nn.Module):
    """Pictures [N, channels, H, W] -> a logit for each patch [N, h, w], and every layer's responses [N, C, h', w'].

    widths: channels at 1/2, 1/4 ... of the side. `told`: size of the vectors [N, told] that say what each
    picture should look like; 0 for none.
    """

    def __init__(
        self, channels: int = 3, widths: Sequence[int] = (32, 64, 128), told: int = 0, spectral: bool = False
    ) -> None:
        super().__init__()
        held: Callable[[nn.Module], nn.Module] = spectral_norm if spectral else lambda layer: layer
        sizes = [channels, *widths]
        strided = [nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in zip(sizes, sizes[1:])]
        self.layers = nn.ModuleList(map(held, [*strided, nn.Conv2d(sizes[-1], sizes[-1], 3, padding=1)]))
        self.judge = held(nn.Conv2d(sizes[-1], 1, 3, padding=1))
        self.project = held(nn.Linear(told, sizes[-1], bias=False)) if told else None
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor, wanted: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        x, responses = pictures.contiguous(memory_format=torch.channels_last), []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            responses.append(x)
        logits = self.judge(x)[:, 0]
        if self.project is not None:
            fits = (x * self.project(wanted)[:, :, None, None]).sum(dim=1)
            logits = logits + fits / x.shape[1] ** 0.5
        return logits, responses
