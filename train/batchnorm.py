"""Batch normalisation over the pictures of all processes (Ioffe and Szegedy 2015, arXiv:1502.03167).

departs from torch.nn.SyncBatchNorm: works on processors as well,
and its gradient can be differentiated again, as R1 asks.
"""

import torch
from torch import Tensor, nn

from train.together import place, total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """x [N, C, H, W], N the same in every process. While it learns, mean and variance are those of all pictures."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        wide = x.float()
        count = x.numel() // x.shape[1] * place()[1]
        mean = total(wide.sum(dim=(0, 2, 3))) / count
        centred = wide - mean[:, None, None]
        # in two passes: the mean of squares less the square of the mean would lose digits
        variance = total(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def share_batch_norm(network: nn.Module) -> None:
    """Let a network's batch normalisations see the pictures of all processes; its parameters stay the same tensors."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.BatchNorm2d:
                shared = SharedBatchNorm2d(child.num_features, child.eps, child.momentum)
                shared.weight, shared.bias = child.weight, child.bias
                for buffer, value in child.named_buffers():
                    setattr(shared, buffer, value)
                setattr(module, name, shared.train(child.training))
