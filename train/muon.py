"""Muon: steps along the nearest orthogonal matrix of the gradient (Jordan et al. 2024, "Muon: an optimizer for hidden
layers in neural networks").

Adam's steps are those of a few strong directions of a layer; here all of its directions take steps of one size, and
what is rare is learned as fast. They are scaled to the size of Adam's (Liu et al. 2025, arXiv:2502.16982, section 2.2),
so that Adam's learning rates suit. Biases, and layers whose channels in or out are few, take Adam's steps.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

FEWEST = 16  # rows and columns of a layer's matrix, beyond which it is Muon's
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan's, steepest at 0: singular values end up about 1, but not at it
ITERATIONS = 5
ADAMS_SIZE = 0.2  # root mean square of Adam's steps, in learning rates


def orthogonal(matrix: Tensor) -> Tensor:
    """About U V^T of a matrix U S V^T [rows, columns], by Newton and Schulz's iteration."""
    a, b, c = COEFFICIENTS
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / (x.norm() + 1e-12)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon moves it: filters [out, in, kh, kw] are matrices of out rows."""
    return parameter.dim() > 1 and min(len(parameter), parameter[0].numel()) > FEWEST


class Muon(torch.optim.Optimizer):
    """lr and betas are Adam's; momentum is that of matrices, after Nesterov."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float] = (0.9, 0.99),
        momentum: float = 0.95,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        if closure is not None:
            raise ValueError("Muon takes no closure; call backward() before step()")
        for group in self.param_groups:
            moving = [p for p in group["params"] if p.grad is not None]
            for parameter in filter(is_matrix, moving):
                self._turn(parameter, group)
            self._adam([p for p in moving if not is_matrix(p)], group)

    def _turn(self, parameter: Tensor, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        mean = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
        ahead = parameter.grad.lerp(mean, group["momentum"]).flatten(1)
        size = ADAMS_SIZE * max(ahead.shape) ** 0.5
        parameter.add_(orthogonal(ahead).view_as(parameter), alpha=-group["lr"] * size)

    def _adam(self, parameters: list[Tensor], group: dict) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter),
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                }
        states = [self.state[parameter] for parameter in parameters]
        adam(
            parameters, [p.grad for p in parameters], [s["exp_avg"] for s in states],
            [s["exp_avg_sq"] for s in states], [], [s["step"] for s in states], fused=True, amsgrad=False,
            beta1=group["betas"][0], beta2=group["betas"][1], lr=group["lr"], weight_decay=0.0, eps=1e-8,
            maximize=False,
        )
