import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from studio.capabilities import NoiseGenerator, StyleGenerator
from studio.errors import SettingError
from studio.models import MODELS
from studio.models.stylegan2 import (
    DiscriminatorBlock,
    Mapping,
    StyleGAN2Config,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
    SynthesisLayer,
    minibatch_stddev,
    width_settings,
)

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def G(make_generator: Callable[..., StyleGAN2Generator]) -> StyleGAN2Generator:
    return make_generator()


@pytest.fixture(scope="module")
def D(tiny_config: StyleGAN2Config) -> StyleGAN2Discriminator:
    return StyleGAN2Discriminator(tiny_config).eval().requires_grad_(False)


def on_meta(config: StyleGAN2Config) -> tuple[StyleGAN2Generator, StyleGAN2Discriminator]:
    with torch.device("meta"):
        return StyleGAN2Generator(config), StyleGAN2Discriminator(config)


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- sizes


def test_as_many_parameters_as_the_official_one() -> None:
    """30,370,060 and 29,012,513: what the official programs print for 1024 px (configuration F)."""
    G, D = on_meta(StyleGAN2Config(resolution=1024))
    assert (parameters(G), parameters(D)) == (30_370_060, 29_012_513)


@pytest.mark.parametrize(
    "resolution, num_ws", [(16, 6), (32, 8), (64, 10), (128, 12), (256, 14), (512, 16), (1024, 18)]
)
def test_number_of_styles(resolution: int, num_ws: int) -> None:
    assert StyleGAN2Config(resolution=resolution).num_ws == num_ws


def test_channels_by_the_official_rule() -> None:
    config = StyleGAN2Config(resolution=256, channel_base=16384, channel_max=384)
    widths = {4: 384, 8: 384, 16: 384, 32: 384, 64: 256, 128: 128, 256: 64}
    assert {r: config.channels_at(r) for r in config.resolutions} == widths
    G, D = on_meta(config)
    shapes = {name: tuple(p.shape) for name, p in G.synthesis_network.state_dict().items()}
    assert shapes["b4.const"] == (384, 4, 4)
    assert shapes["b64.conv0.weight"] == (256, 384, 3, 3)
    assert shapes["b64.conv0.affine.weight"] == (384, 512)
    assert shapes["b64.conv1.weight"] == (256, 256, 3, 3)
    assert shapes["b64.conv1.noise_const"] == (64, 64)
    assert shapes["b64.conv1.noise_strength"] == ()
    assert shapes["b64.torgb.weight"] == (3, 256, 1, 1)
    assert "b4.conv0.weight" not in shapes
    shapes = {name: tuple(p.shape) for name, p in D.state_dict().items()}
    assert shapes["b256.fromrgb.weight"] == (64, 3, 1, 1)
    assert shapes["b256.conv0.weight"] == (64, 64, 3, 3)
    assert shapes["b256.conv1.weight"] == (128, 64, 3, 3)
    assert shapes["b256.skip.weight"] == (128, 64, 1, 1)
    assert shapes["b4.conv.weight"] == (384, 385, 3, 3)
    assert shapes["b4.fc.weight"] == (384, 384 * 16)
    assert shapes["b4.out.weight"] == (1, 384)
    assert "b128.fromrgb.weight" not in shapes and "b256.skip.bias" not in shapes


def test_every_map_has_at_least_one_channel() -> None:
    assert StyleGAN2Config(resolution=1024, channel_base=16).channels_at(1024) == 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [16, 32])
def test_a_picture_of_the_size_asked_for(
    make_generator: Callable[..., StyleGAN2Generator], resolution: int, channels: int
) -> None:
    G = make_generator(resolution=resolution, channels=channels)
    picture = G.generate(torch.randn(2, 8))
    assert picture.shape == (2, channels, resolution, resolution)
    assert picture.dtype == torch.float32 and picture.isfinite().all()
    assert StyleGAN2Discriminator(G.config)(picture).shape == (2,)


def test_it_can_do_what_a_style_generator_can(G: StyleGAN2Generator, D: StyleGAN2Discriminator) -> None:
    assert isinstance(G, StyleGenerator) and isinstance(G, NoiseGenerator)
    assert not isinstance(D, NoiseGenerator)


def test_widths_by_the_rule_or_each_by_itself() -> None:
    def again(**settings: object) -> dict[str, object]:
        config = StyleGAN2Config(resolution=64, **settings)
        return width_settings({r: config.channels_at(r) for r in config.resolutions})

    assert again(channel_base=1024, channel_max=40) == {"channel_base": 1024, "channel_max": 40}
    assert again(widths=(9, 7, 8, 3, 5)) == {"widths": (9, 7, 8, 3, 5)}
    with pytest.raises(SettingError, match="^2 widths are given for 5 resolutions up to 64 px"):
        StyleGAN2Config(resolution=64, widths=(4, 4))


def test_feature_maps_are_bounded_if_asked_for(make_generator: Callable[..., StyleGAN2Generator]) -> None:
    """In the training form and in the inference layout alike."""
    G, bounded, free = make_generator(), make_generator(clamp=0.05), make_generator(clamp=1e6)
    laid_out = MODELS.get("stylegan2").layout(bounded)
    ws, maps = torch.randn(2, G.num_ws, 8), []
    hook = bounded.synthesis_network.b16.conv1.register_forward_hook(lambda m, args, out: maps.append(out))
    picture = bounded.synthesis(ws)
    hook.remove()
    assert maps[0].abs().max().item() == pytest.approx(0.05)
    assert not torch.allclose(picture, G.synthesis(ws), atol=1e-2)
    for one in (ws, ws[:1]):
        assert torch.allclose(laid_out.synthesis(one), bounded.synthesis(one), atol=1e-5)
    assert free.synthesis(ws).equal(G.synthesis(ws))


# --- mapping


def mapping_by_hand(mapping: Mapping, x: Tensor) -> Tensor:
    for i in range(mapping.layers):
        layer = getattr(mapping, f"fc{i}")
        x = x @ (layer.weight * (0.01 / math.sqrt(layer.weight.shape[1]))).T + layer.bias * 0.01
        x = F.leaky_relu(x, 0.2) * math.sqrt(2)
    return x


def test_mapping_by_hand(G: StyleGAN2Generator) -> None:
    z = torch.randn(3, 8)
    expected = mapping_by_hand(G.mapping_network, z / z.square().mean(dim=1, keepdim=True).sqrt())
    ws = G.mapping(z)
    assert ws.shape == (3, G.num_ws, 8)
    assert torch.allclose(ws, expected[:, None].expand(-1, G.num_ws, -1), atol=1e-5)


def test_mapping_sees_only_the_direction_of_z(G: StyleGAN2Generator) -> None:
    z = torch.randn(4, 8)
    assert torch.allclose(G.mapping(z), G.mapping(37 * z), atol=1e-5)
    assert (G.mapping(z) - G.mapping(-z)).abs().max() > 0.1


def test_mapping_keeps_unit_scale() -> None:
    w = Mapping(512, 512, 0, 8)(torch.randn(64, 512))
    assert w.square().mean().sqrt().item() == pytest.approx(1, abs=0.2)


def test_mapping_of_classes_by_hand(make_generator: Callable[..., StyleGAN2Generator]) -> None:
    mapping = make_generator(classes=3).mapping_network
    z, c = torch.randn(2, 8), torch.eye(3)[:2]
    embedded = c @ (mapping.embed.weight / math.sqrt(3)).T + mapping.embed.bias
    parts = [x / x.square().mean(dim=1, keepdim=True).sqrt() for x in (z, embedded)]
    assert torch.allclose(mapping(z, c), mapping_by_hand(mapping, torch.cat(parts, dim=1)), atol=1e-5)


# --- modulated convolution


def layer(fan_in: int, fan_out: int, resolution: int, *, up: bool = False) -> SynthesisLayer:
    made = SynthesisLayer(fan_in, fan_out, 5, resolution, up=up).requires_grad_(False)
    torch.nn.init.normal_(made.affine.bias, mean=1, std=0.5)
    return made


def before_activation(y: Tensor) -> Tensor:
    y = y / math.sqrt(2)
    return torch.where(y < 0, y / 0.2, y)


def modulated_by_hand(made: SynthesisLayer, x: Tensor, w: Tensor) -> Tensor:
    """Eq. 1 and 3 of the paper as written: a weight of its own for each sample, a group of the convolution each."""
    n, fan_in, height, width = x.shape
    weight = made.weight[None] * made.affine(w)[:, None, :, None, None]
    weight = weight / (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
    if made.up:
        # Zeros between the samples, then one filter that is the weight (turned by a half, as in a transposed
        # convolution) and 1-3-3-1 in one: 3 + 4 - 1 = 6 taps a side.
        fir = 4 * (TAPS[:, None] * TAPS)[None, None]
        taps = weight.flatten(0, 2)[:, None].flip(2, 3)
        weight = F.conv2d(taps, fir, padding=3).reshape(*weight.shape[:3], 6, 6)
        stuffed = torch.zeros(n, fan_in, 2 * height, 2 * width)
        stuffed[:, :, ::2, ::2] = x
        x = F.pad(stuffed, (3, 2, 3, 2))
    else:
        x = F.pad(x, (1, 1, 1, 1))
    y = F.conv2d(x.reshape(1, n * fan_in, *x.shape[2:]), weight.flatten(0, 1), groups=n)
    return y.reshape(n, -1, *y.shape[2:])


@pytest.mark.parametrize("up", [False, True])
def test_modulated_convolution_by_hand(up: bool) -> None:
    made = layer(6, 4, 16 if up else 8, up=up)
    x, w = torch.randn(3, 6, 8, 8), 2 * torch.randn(3, 5)
    expected = F.leaky_relu(modulated_by_hand(made, x, w), 0.2) * math.sqrt(2)
    assert torch.allclose(made(x, w, "const"), expected, atol=1e-4)


@pytest.mark.parametrize("up", [False, True])
def test_noise_and_bias_are_added_before_the_activation(up: bool) -> None:
    made = layer(6, 4, 16 if up else 8, up=up)
    torch.nn.init.normal_(made.bias)
    made.noise_strength.fill_(0.3)
    x, w = torch.randn(3, 6, 8, 8), torch.randn(3, 5)
    convolved, bias = modulated_by_hand(made, x, w), made.bias[:, None, None]
    without = F.leaky_relu(convolved + bias, 0.2) * math.sqrt(2)
    const = F.leaky_relu(convolved + bias + 0.3 * made.noise_const, 0.2) * math.sqrt(2)
    assert torch.allclose(made(x, w, "none"), without, atol=1e-4)
    assert torch.allclose(made(x, w, "const"), const, atol=1e-4)


def test_random_noise_is_one_field_a_sample_of_the_given_strength() -> None:
    made = layer(2, 3, 64)
    made.noise_strength.fill_(0.3)
    x, w = torch.randn(1, 2, 64, 64).expand(2, -1, -1, -1), torch.randn(1, 5).expand(2, -1)
    grain = before_activation(made(x, w, "random")) - before_activation(made(x, w, "none"))
    assert torch.allclose(grain[:, 0], grain[:, 1], atol=1e-4) and torch.allclose(grain[:, 0], grain[:, 2], atol=1e-4)
    assert (grain[0] - grain[1]).abs().mean() > 0.1
    assert grain[:, 0].std().item() == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("scale", [0.1, 1, 30])
def test_demodulated_maps_have_unit_variance(scale: float) -> None:
    """Exactly: the energy of the answers to an impulse in each input map is 1 for every output map and style."""
    fan_in, made = 6, layer(6, 4, 5)
    impulses = torch.zeros(fan_in, fan_in, 5, 5)
    impulses[range(fan_in), range(fan_in), 2, 2] = 1
    for _ in range(5):
        w = scale * torch.randn(1, 5).expand(fan_in, -1)
        energy = before_activation(made(impulses, w, "none")).square().sum(dim=(0, 2, 3))
        assert energy.tolist() == pytest.approx([1.0] * 4, rel=1e-4)


def test_demodulated_maps_of_normal_maps() -> None:
    made = layer(32, 8, 64)
    y = before_activation(made(torch.randn(4, 32, 64, 64), 3 * torch.randn(4, 5), "none"))
    assert y[:, :, 1:-1, 1:-1].var(dim=(2, 3)).flatten().tolist() == pytest.approx([1.0] * 32, abs=0.15)


# --- synthesis


def test_psi_0_is_the_mean_picture_of_every_z(G: StyleGAN2Generator) -> None:
    pictures = G.generate(torch.randn(5, 8), psi=0)
    mean = G.synthesis(G.w_avg.expand(1, G.num_ws, -1))
    assert torch.allclose(pictures, mean.expand(5, -1, -1, -1), atol=1e-6)
    assert (G.generate(torch.randn(5, 8), psi=1) - mean).abs().max() > 0.1


def test_psi_goes_from_the_mean_through_w(G: StyleGAN2Generator) -> None:
    z = torch.randn(2, 8)
    w = G.mapping(z)
    for psi in (-0.5, 0.7, 1, 1.5):
        expected = G.synthesis((1 - psi) * G.w_avg + psi * w)
        assert torch.allclose(G.generate(z, psi=psi), expected, atol=1e-5)


def test_a_class_changes_the_picture(make_generator: Callable[..., StyleGAN2Generator]) -> None:
    G = make_generator(classes=3)
    z = torch.randn(1, 8).expand(3, -1)
    pictures = G.generate(z, torch.eye(3))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (pictures[i] - pictures[j]).abs().mean() > 0.01
    with pytest.raises(SettingError, match="^this model has 3 classes and none was given; choose one$"):
        G.generate(z)


@pytest.mark.parametrize(
    "k, readers",
    [
        (0, ["b4.conv1"]),
        (1, ["b4.torgb", "b8.conv0"]),
        (2, ["b8.conv1"]),
        (3, ["b8.torgb", "b16.conv0"]),
        (4, ["b16.conv1"]),
        (5, ["b16.torgb"]),
    ],
)
def test_which_layers_read_which_style(G: StyleGAN2Generator, k: int, readers: list[str]) -> None:
    """A block's picture shares its style with the first layer of the next block."""
    ws = torch.randn(1, G.num_ws, 8)
    other = ws.clone()
    other[:, k] += 1
    seen: dict[str, list[Tensor]] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: seen.setdefault(name, []).append(args[0]))
        for name, module in G.synthesis_network.named_modules()
        if name.endswith(".affine")
    ]
    try:
        pictures = [G.synthesis(w) for w in (ws, other)]
    finally:
        for hook in hooks:
            hook.remove()
    assert len(seen) == 8 and all(len(pair) == 2 for pair in seen.values())
    assert [name.removesuffix(".affine") for name, (a, b) in seen.items() if not a.equal(b)] == sorted(
        readers, key=[n.removesuffix(".affine") for n in seen].index
    )
    assert not pictures[0].equal(pictures[1])


def test_the_picture_is_the_sum_of_the_upsampled_skips(G: StyleGAN2Generator) -> None:
    layers: list[Tensor] = []
    hooks = [
        getattr(G.synthesis_network, f"b{r}").torgb.register_forward_hook(lambda m, args, out: layers.append(out))
        for r in (4, 8, 16)
    ]
    try:
        picture = G.synthesis(torch.randn(2, G.num_ws, 8))
    finally:
        for hook in hooks:
            hook.remove()
    wide = F.interpolate  # the 1-3-3-1 filter on zeros between samples is bilinear interpolation, away from the edge
    expected = wide(wide(layers[0], scale_factor=2, mode="bilinear") + layers[1], scale_factor=2, mode="bilinear")
    assert torch.allclose(picture[:, :, 5:-5, 5:-5], (expected + layers[2])[:, :, 5:-5, 5:-5], atol=1e-5)


def test_torgb_by_hand(G: StyleGAN2Generator) -> None:
    """Modulated without demodulation, the weight scaled by 1 / sqrt(fan-in)."""
    torgb = G.synthesis_network.b16.torgb
    x, w = torch.randn(3, 8, 4, 4), torch.randn(3, 8)
    weight = torgb.weight[None] * torgb.affine(w)[:, None, :, None, None] / math.sqrt(8)
    expected = torch.stack([F.conv2d(x[i], weight[i], torgb.bias) for i in range(3)])
    assert torch.allclose(torgb(x, w), expected, atol=1e-5)


def test_kinds_of_noise(G: StyleGAN2Generator) -> None:
    ws = G.mapping(torch.randn(1, 8))
    draw = {noise: [G.synthesis(ws, noise) for _ in range(2)] for noise in ("const", "none", "random")}
    assert draw["const"][0].equal(draw["const"][1])
    assert draw["none"][0].equal(draw["none"][1])
    assert not draw["random"][0].equal(draw["random"][1])
    assert not draw["const"][0].equal(draw["none"][0])
    with pytest.raises(SettingError, match="^noise='loud' is not one of const, random, none$"):
        G.synthesis(ws, "loud")


def test_without_strength_all_noise_is_silent(make_generator: Callable[..., StyleGAN2Generator]) -> None:
    G = make_generator()
    for name, parameter in G.named_parameters():
        if name.endswith("noise_strength"):
            parameter.zero_()
    ws = G.mapping(torch.randn(1, 8))
    silent = G.synthesis(ws, "none")
    assert torch.allclose(G.synthesis(ws, "const"), silent, atol=1e-6)
    assert torch.allclose(G.synthesis(ws, "random"), silent, atol=1e-6)


def test_a_picture_does_not_depend_on_its_neighbours_in_the_batch(G: StyleGAN2Generator) -> None:
    z = torch.randn(4, 8)
    together = G.generate(z)
    alone = torch.cat([G.generate(z[i : i + 1]) for i in range(4)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_bfloat16_feature_maps_give_nearly_the_same_float32_picture(G: StyleGAN2Generator) -> None:
    ws = G.mapping(torch.randn(2, 8))
    full, half = G.synthesis(ws), G.synthesis(ws, dtype=torch.bfloat16)
    assert half.dtype == torch.float32
    assert 0 < (full - half).abs().mean() < 0.05 * full.std()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("changes", [{}, {"resolution": 32, "channels": 3, "channel_max": 4}])
def test_the_inference_layout_draws_the_same(
    make_generator: Callable[..., StyleGAN2Generator], changes: dict[str, int], count: int
) -> None:
    """One picture and several take different ways through it, and so do layers with many and with few weights."""
    G = make_generator(**changes)
    keys = list(G.state_dict())
    laid_out = MODELS.get("stylegan2").layout(G)
    assert isinstance(laid_out, StyleGenerator)
    z, ws = torch.randn(count, 8), torch.randn(count, G.num_ws, 8)
    for psi in (0.0, 0.7):
        assert torch.allclose(laid_out.generate(z, psi=psi), G.generate(z, psi=psi), atol=1e-4)
    for noise in ("const", "none", "random"):
        pictures = []
        for network in (laid_out, G):
            torch.manual_seed(1)  # the random grain is drawn in the same order
            pictures.append(network.synthesis(ws, noise))
        assert torch.allclose(*pictures, atol=1e-4), noise
        assert pictures[0].shape == (count, G.channels, G.resolution, G.resolution)
    assert list(G.state_dict()) == keys
    with pytest.raises(SettingError, match="^noise='loud' is not one of"):
        laid_out.synthesis(ws, "loud")


# --- discriminator


@pytest.mark.parametrize(
    "n, group, size", [(8, 4, 4), (6, 4, 3), (4, 4, 4), (3, 4, 3), (2, 4, 2), (1, 4, 1), (5, 4, 1), (8, 2, 2)]
)
def test_minibatch_stddev_by_hand(n: int, group: int, size: int) -> None:
    """Sample i is in a group with i + n / size, i + 2 n / size ..."""
    x = torch.randn(n, 3, 2, 2)
    y = minibatch_stddev(x, group)
    assert y.shape == (n, 4, 2, 2) and y[:, :3].equal(x)
    for i in range(n):
        members = x.numpy()[[j for j in range(n) if j % (n // size) == i % (n // size)]]
        assert len(members) == size
        expected = np.sqrt(members.astype(np.float64).var(axis=0) + 1e-8).mean()
        assert y[i, 3].flatten().tolist() == pytest.approx([expected] * 4, rel=1e-4)


def test_minibatch_stddev_of_equal_pictures_is_nothing() -> None:
    assert minibatch_stddev(torch.randn(1, 3, 2, 2).expand(4, -1, -1, -1), 4)[:, 3].max() < 1e-3


def test_discriminator_block_by_hand() -> None:
    """A 1x1 skip from the halved input beside two 3x3 layers, each branch times sqrt(1/2)."""
    block = DiscriminatorBlock(3, 5, 2).requires_grad_(False)
    for part in (block.fromrgb, block.conv0, block.conv1):
        torch.nn.init.normal_(part.bias)
    picture = torch.randn(2, 2, 8, 8)

    def conv(x: Tensor, part: torch.nn.Module, **how: int) -> Tensor:
        fan_in = part.weight[0].numel()
        return F.leaky_relu(F.conv2d(x, part.weight / math.sqrt(fan_in), part.bias, **how), 0.2) * math.sqrt(2)

    kernel = (TAPS[:, None] * TAPS).expand(3, 1, 4, 4)
    x = conv(picture, block.fromrgb)
    skip = F.conv2d(F.conv2d(x, kernel, padding=1, stride=2, groups=3), block.skip.weight / math.sqrt(3))
    y = conv(F.conv2d(conv(x, block.conv0, padding=1), kernel, padding=2, groups=3), block.conv1, stride=2)
    assert torch.allclose(block(picture), (skip + y) * math.sqrt(0.5), atol=1e-5)


def test_discriminator_reads_pixels_not_memory(D: StyleGAN2Discriminator) -> None:
    pictures = torch.randn(4, 1, 16, 16)
    other = pictures.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(D(pictures), D(other), atol=1e-6)
    assert D(pictures).unique().numel() == 4


def test_the_logit_of_a_class_is_a_projection(tiny_config: StyleGAN2Config) -> None:
    D = StyleGAN2Discriminator(tiny_config.replace(classes=3)).requires_grad_(False)
    pictures, c = torch.randn(3, 1, 16, 16), torch.eye(3)
    features: list[Tensor] = []
    hook = D.b4.register_forward_hook(lambda m, args, out: features.append(out))
    logits = D(pictures, c)
    hook.remove()
    assert features[0].shape == (3, 16)
    expected = (features[0] * D.mapping(None, c)).sum(dim=1) / 4
    assert torch.allclose(logits, expected, atol=1e-5)
    assert (logits - D(pictures, c.flip(0))).abs().max() > 1e-3
    with pytest.raises(SettingError, match="3 classes"):
        D(pictures)


def test_gradients_reach_every_parameter(tiny_config: StyleGAN2Config) -> None:
    """R1's and the generator's losses have something to say to each weight, in both networks."""
    config = tiny_config.replace(classes=2)
    G, D = StyleGAN2Generator(config), StyleGAN2Discriminator(config)
    for name, parameter in G.named_parameters():
        if name.endswith("noise_strength"):
            torch.nn.init.constant_(parameter, 0.1)
    c = torch.eye(2).repeat(2, 1)
    D(G.synthesis(G.mapping(torch.randn(4, 8), c), "random"), c).sum().backward()
    still = [name for N in (G, D) for name, p in N.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert still == []


@pytest.mark.gpu
def test_a_gpu_draws_what_the_cpu_draws(make_generator: Callable[..., StyleGAN2Generator]) -> None:
    G = make_generator(resolution=32)
    z = torch.randn(2, 8)
    expected = G.generate(z)
    drawn = G.to("cuda").generate(z.to("cuda")).cpu()
    assert torch.allclose(drawn, expected, atol=1e-2)  # TF32 convolutions may be on
