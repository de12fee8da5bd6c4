import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import studio.walk
from studio.engine import Engine, LoadedModel
from studio.errors import CapabilityError, SettingError, UnknownName
from studio.explore import Explorer, ExploreSettings
from studio.latent.walk import z_from_seed
from studio.library import Library
from studio.models.stylegan2 import StyleGAN2Generator
from studio.walk import WalkSettings, pictures_at_once, resize, walk

TINY = WalkSettings(model="tiny", seeds=(1, 5, 9), seconds=1, fps=12, size=16)


@pytest.fixture(scope="module")
def engine(library: Library) -> Engine:
    return Engine(library, "cpu")


def frames(engine: Engine, settings: WalkSettings) -> Tensor:
    return torch.stack(list(walk(engine, settings)))


def drawn(G: StyleGAN2Generator, seed: int, psi: float = 0.7, noise: str = "const") -> Tensor:
    ws = G.mapping(z_from_seed(seed, G.z_dim))
    return G.synthesis(G.w_avg + psi * (ws - G.w_avg), noise).clamp(-1, 1)[0]


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-5)


def steps(film: Tensor) -> list[float]:
    """How far each frame is from the next, the last from the first."""
    return (film - film.roll(-1, 0)).square().mean(dim=(1, 2, 3)).sqrt().tolist()


def test_an_open_walk_goes_from_the_first_seed_to_the_last(engine: Engine, make_generator: Callable) -> None:
    G = make_generator()
    film = frames(engine, TINY.replace(fps=13))
    assert film.shape == (13, 1, 16, 16)
    assert close(film[0], drawn(G, 1)) and close(film[6], drawn(G, 5)) and close(film[12], drawn(G, 9))
    assert not close(film[3], drawn(G, 1)) and not close(film[3], drawn(G, 5))


def test_a_loop_comes_back_by_a_step_like_any_other(engine: Engine, make_generator: Callable) -> None:
    G = make_generator()
    film = frames(engine, TINY.replace(fps=120, loop=True))
    assert close(film[0], drawn(G, 1)) and close(film[40], drawn(G, 5)) and close(film[80], drawn(G, 9))
    lengths = steps(film)
    assert 0 < lengths[-1] < 1.2 * max(lengths[-2], lengths[0])
    assert lengths[-1] > 0.8 * min(lengths[-2], lengths[0])
    open_lengths = steps(frames(engine, TINY.replace(fps=120)))
    assert open_lengths[-1] > 5 * max(open_lengths[:-1])


@pytest.mark.parametrize(
    "seconds, fps, count", [(6, 30, 180), (0.1, 1, 1), (1, 1, 1), (2.04, 25, 51), (1, 29.97, 30), (0.33, 10, 3)]
)
def test_how_many_frames(engine: Engine, seconds: float, fps: float, count: int) -> None:
    settings = TINY.replace(seconds=seconds, fps=fps)
    assert settings.frames == count == len(list(walk(engine, settings)))


def test_psi_noise_and_class(engine: Engine, make_generator: Callable) -> None:
    G = make_generator()
    short = TINY.replace(seconds=0.1)
    assert close(frames(engine, short.replace(psi=-0.5))[0], drawn(G, 1, psi=-0.5))
    assert close(frames(engine, short.replace(noise="none"))[0], drawn(G, 1, noise="none"))
    explorer = Explorer(engine)
    for label in (0, 2):
        same = ExploreSettings(model="tiny-classes", seed=1, label=label)
        assert close(frames(engine, short.replace(model="tiny-classes", label=label))[0], explorer.picture(same)[0])
    with pytest.raises(SettingError, match=r"^label=3 is outside 0\.\.2, the classes of 'tiny-classes'; choose"):
        frames(engine, short.replace(model="tiny-classes", label=3))
    with pytest.raises(SettingError, match="^label=1 is given, and 'tiny' has no classes; leave the label out$"):
        frames(engine, short.replace(label=1))


def test_pictures_drawn_together_are_those_drawn_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    together = frames(engine, TINY)
    monkeypatch.setattr(studio.walk, "pictures_at_once", lambda resolution: 1)
    assert close(frames(engine, TINY), together)


def test_frames_are_drawn_when_they_are_asked_for(engine: Engine) -> None:
    film = walk(engine, TINY.replace(seconds=600, fps=120))
    assert next(film).shape == (1, 16, 16)


def test_the_device_is_free_between_frames(engine: Engine) -> None:
    film = walk(engine, TINY)
    next(film)
    drawn_elsewhere: list[Tensor] = []
    draw = lambda: drawn_elsewhere.append(Explorer(engine).picture(ExploreSettings("tiny")))
    other = threading.Thread(target=draw, daemon=True)
    other.start()
    other.join(timeout=20)
    assert len(drawn_elsewhere) == 1
    film.close()


@pytest.mark.parametrize("size, side", [(None, 256), (16, 16), (100, 100)])
def test_size(engine: Engine, size: int | None, side: int) -> None:
    assert frames(engine, TINY.replace(seconds=0.1, size=size)).shape == (1, 1, side, side)


def test_a_frame_is_enlarged_smoothly_and_keeps_its_mean() -> None:
    edge = torch.ones(1, 32, 32)
    edge[:, :, :16] = -1
    big = resize(edge, 96)
    assert big.shape == (1, 96, 96) and big.min() == -1 and big.max() == 1 and abs(big.mean()) < 1e-6
    assert len(big[0, 0].unique()) > 4
    assert resize(edge, 32) is edge
    lines = -torch.ones(3, 64, 64)
    lines[:, :, ::4] = 1
    assert abs(resize(lines, 16).mean() - lines.mean()) < 0.02  # where picking pixels would lose them


def test_pictures_in_one_pass() -> None:
    assert [pictures_at_once(side) for side in (16, 128, 256, 512, 1024, 2048)] == [16, 16, 16, 4, 1, 1]


@pytest.mark.parametrize(
    "change, sentence",
    [
        (dict(seeds=[]), "seeds has 0 values; a walk passes through 2..1000"),
        (dict(seeds=[1]), "seeds has 1 values; a walk passes through 2..1000"),
        (dict(seeds=[1] * 1001), "seeds has 1001 values; a walk passes through 2..1000"),
        (dict(size=255), "size=255 is odd, which films cannot be; choose 254 or 256"),
        (dict(seconds=601), "seconds=601.0 is outside 0.1..600 s (length of the film)"),
        (dict(noise="random"), "noise='random' is not one of const, none"),
    ],
)
def test_settings(change: dict, sentence: str) -> None:
    with pytest.raises(SettingError) as error:
        WalkSettings(**{"model": "tiny", "seeds": [1, 2], **change})
    assert str(error.value) == sentence


def test_models_that_cannot(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="^no model named 'tny'"):
        next(walk(engine, TINY.replace(model="tny")))
    info = engine.info("tiny")
    monkeypatch.setattr(engine, "_load", lambda name: LoadedModel(name, info, nn.Linear(1, 1), engine.device))
    with pytest.raises(CapabilityError, match="^walk needs a model with a style space w, which 'tiny' lacks"):
        next(walk(engine, TINY))
