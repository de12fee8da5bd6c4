"""A generator whose styles a network maps from noise (Karras, Laine, Aila 2019, arXiv:1812.04948), and truncation."""

from torch import Tensor, nn


class MappedStyles(nn.Module):
    """One style w for all layers, as long as nobody mixes them; a subclass draws from it in `synthesis`.

    mapping_network: z [N, z_dim], c [N, classes] -> w [N, w_dim]; its attributes are these sizes and `w_avg` [w_dim],
    the mean of w. It fulfils StyleGenerator.
    """

    def __init__(self, mapping_network: nn.Module, num_ws: int, resolution: int, channels: int) -> None:
        super().__init__()
        self.z_dim, self.w_dim = mapping_network.z_dim, mapping_network.w_dim
        self.classes, self.num_ws = mapping_network.classes, num_ws
        self.resolution, self.channels = resolution, channels
        self.mapping_network = mapping_network

    @property
    def w_avg(self) -> Tensor:
        return self.mapping_network.w_avg

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """z [N, z_dim] normal, c [N, classes] one-hot -> ws [N, num_ws, w_dim]."""
        return self.mapping_network(z, c)[:, None].expand(-1, self.num_ws, -1)

    def synthesis(self, ws: Tensor, noise: str = "const") -> Tensor:
        """ws [N, num_ws, w_dim] -> pictures [N, channels, resolution, resolution], about [-1, 1], float32.

        noise: const, random or none, for networks that have grain.
        """
        raise NotImplementedError

    def generate(self, z: Tensor, c: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """z [N, z_dim] -> pictures; psi pulls w towards its mean (the truncation trick, 0 gives the mean picture)."""
        ws = self.mapping(z, c)
        return self.synthesis(self.w_avg + psi * (ws - self.w_avg))

    forward = generate
