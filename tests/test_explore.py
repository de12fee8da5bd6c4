import json
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import studio.explore
from studio.checkpoint import ModelInfo, save_checkpoint
from studio.dials import read_dials
from studio.engine import Engine
from studio.errors import CapabilityError, SettingError, UnknownName
from studio.explore import Explorer, ExploreSettings, layer_groups
from studio.latent.directions import DIALS, Dials, Turn, find_dials
from studio.latent.walk import slerp, z_from_seed
from studio.library import Library
from studio.models.stylegan3 import StyleGAN3Config, StyleGAN3Generator
from studio.models.stylegan2 import StyleGAN2Generator
from studio.nn.mapped_styles import MappedStyles
from studio.seeds import MAX_SEED

TINY = ExploreSettings(model="tiny", seed=5, to_seed=6, mix_seed=7)
ALL_OFF = (0.0,) * DIALS


@pytest.fixture(scope="module")
def explorer(library: Library) -> Explorer:
    return Explorer(Engine(library, "cpu"))


@pytest.fixture
def G(make_generator: Callable[..., StyleGAN2Generator]) -> StyleGAN2Generator:
    return make_generator()


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-5)


def dial(number: int, value: float) -> tuple[float, ...]:
    return (*ALL_OFF[:number], value, *ALL_OFF[number + 1 :])


def drawn(G: StyleGAN2Generator, seed: int, psi: float = 0.7, **more: Tensor) -> Tensor:
    return G.generate(z_from_seed(seed, G.z_dim), psi=psi, **more).clamp(-1, 1)


def test_a_seed_is_drawn_as_the_model_draws_it(explorer: Explorer, G: StyleGAN2Generator) -> None:
    picture = explorer.picture(TINY)
    assert picture.shape == (1, 1, 16, 16) and picture.dtype == torch.float32 and picture.device.type == "cpu"
    assert close(picture, drawn(G, 5))
    assert close(explorer.picture(TINY.replace(psi=1.3)), drawn(G, 5, psi=1.3))
    assert close(explorer.picture(TINY.replace(seed=MAX_SEED)), drawn(G, MAX_SEED))


def test_pictures_stay_in_range(explorer: Explorer) -> None:
    pictures = torch.cat([explorer.picture(TINY.replace(seed=seed, psi=2)) for seed in range(8)])
    assert pictures.min() == -1 and pictures.max() == 1


@pytest.mark.parametrize("noise", ["const", "none"])
@pytest.mark.parametrize("path", ["w", "z"])
def test_the_same_settings_give_the_same_picture(library: Library, explorer: Explorer, path: str, noise: str) -> None:
    """In another process too: nothing is taken from what was drawn before."""
    settings = TINY.replace(path=path, walk=0.4, mix_coarse=0.3, mix_fine=1, dials=dial(1, -0.5), noise=noise)
    first = explorer.picture(settings)
    explorer.picture(TINY.replace(seed=99))
    assert explorer.picture(settings).equal(first)
    assert (
        Explorer(Engine(library, "cpu"))
        .picture(ExploreSettings.from_dict(json.loads(json.dumps(settings.to_dict()))))
        .equal(first)
    )


def test_noise(explorer: Explorer, G: StyleGAN2Generator) -> None:
    ws = G.mapping(z_from_seed(5, 8))
    bare = explorer.picture(TINY.replace(noise="none", psi=1))
    assert close(bare, G.synthesis(ws, "none").clamp(-1, 1))
    assert not close(bare, explorer.picture(TINY.replace(psi=1)))
    random = TINY.replace(noise="random")
    assert close(explorer.picture(random), explorer.picture(random)), "a picture's settings must bring it back"
    other = random.replace(to_seed=99)  # nothing but the grain depends on it here
    assert not close(explorer.picture(random), explorer.picture(other))


def test_psi_0_is_the_mean_picture_of_every_seed(explorer: Explorer, G: StyleGAN2Generator) -> None:
    mean = G.synthesis(G.w_avg.expand(1, G.num_ws, -1)).clamp(-1, 1)
    for seed in range(3):
        assert close(explorer.picture(TINY.replace(seed=seed, psi=0)), mean)


@pytest.mark.parametrize("path", ["w", "z"])
def test_a_walk_begins_and_ends_at_its_seeds(explorer: Explorer, path: str) -> None:
    start, end = explorer.picture(TINY), explorer.picture(TINY.replace(seed=6))
    assert not close(start, end)
    walk = TINY.replace(path=path)
    assert close(explorer.picture(walk.replace(walk=0)), start)
    assert close(explorer.picture(walk.replace(walk=1e-7)), start)
    assert close(explorer.picture(walk.replace(walk=1)), end)


def test_between_the_ends_of_a_walk(explorer: Explorer, G: StyleGAN2Generator) -> None:
    z = [z_from_seed(seed, 8) for seed in (5, 6)]
    in_w = G.synthesis(G.w_avg + 0.7 * (0.75 * G.mapping(z[0]) + 0.25 * G.mapping(z[1]) - G.w_avg)).clamp(-1, 1)
    in_z = G.generate(slerp(*z, 0.25), psi=0.7).clamp(-1, 1)
    assert close(explorer.picture(TINY.replace(walk=0.25, path="w")), in_w)
    assert close(explorer.picture(TINY.replace(walk=0.25, path="z")), in_z)
    assert not close(in_w, in_z)


def test_mixing_all_of_another_picture_gives_it(explorer: Explorer) -> None:
    mixed = explorer.picture(TINY.replace(mix_coarse=1, mix_middle=1, mix_fine=1))
    assert close(mixed, explorer.picture(TINY.replace(seed=7)))


@pytest.mark.parametrize("name, layers", [("mix_coarse", [0, 1]), ("mix_middle", [2, 3]), ("mix_fine", [4, 5])])
def test_mixing_takes_the_styles_of_some_layers(
    explorer: Explorer, G: StyleGAN2Generator, name: str, layers: list[int]
) -> None:
    ws, other = (G.w_avg + 0.7 * (G.mapping(z_from_seed(seed, 8)) - G.w_avg) for seed in (5, 7))
    ws[:, layers] = 0.6 * ws[:, layers] + 0.4 * other[:, layers]
    assert close(explorer.picture(TINY.replace(**{name: 0.4})), G.synthesis(ws).clamp(-1, 1))


@pytest.mark.parametrize(
    "num_ws, sizes",
    [
        (3, [1, 1, 1]),
        (4, [1, 1, 2]),
        (6, [2, 2, 2]),
        (8, [2, 3, 3]),
        (10, [3, 3, 4]),
        (12, [4, 4, 4]),
        (18, [4, 4, 10]),
    ],
)
def test_layer_groups_share_out_every_layer_once(num_ws: int, sizes: list[int]) -> None:
    groups = [list(range(num_ws))[group] for group in layer_groups(num_ws)]
    assert sum(groups, []) == list(range(num_ws))
    assert [len(group) for group in groups] == sizes


def test_dials_change_the_picture_as_much_as_they_promise(explorer: Explorer) -> None:
    plain, dials = explorer.picture(TINY), explorer.dials("tiny")
    assert 1 <= len(dials.effects) <= DIALS
    for number in range(len(dials.effects)):
        for value in (-1, 1):
            assert (explorer.picture(TINY.replace(dials=dial(number, value))) - plain).abs().mean() > 0.01
    assert close(explorer.picture(TINY.replace(dials=dial(0, 1e-9))), plain)


def test_a_dial_adds_its_direction_to_w(explorer: Explorer, G: StyleGAN2Generator) -> None:
    dials = explorer.dials("tiny")
    w = G.w_avg + 0.7 * (G.mapping(z_from_seed(5, 8)) - G.w_avg) + 0.5 * dials.directions[0] - dials.directions[2]
    settings = TINY.replace(dials=(0.5, 0, -1, *ALL_OFF[3:]))
    assert close(explorer.picture(settings), G.synthesis(w).clamp(-1, 1))


def test_dials_are_found_once(explorer: Explorer, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    first = explorer.dials("tiny")
    monkeypatch.setattr(studio.explore, "find_dials", None)
    assert explorer.dials("tiny") is first
    tomorrow = Explorer(Engine(library, "cpu")).dials("tiny")
    assert tomorrow.directions.equal(first.directions) and tomorrow.effects.equal(first.effects)


def test_dials_on_disk_that_do_not_fit_are_found_anew(
    explorer: Explorer, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, sha256 = explorer.dials("tiny"), explorer.engine.info("tiny").sha256
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path))
    place = tmp_path / "dials" / f"{sha256}.safetensors"
    place.parent.mkdir()
    place.write_bytes(b"half of them")
    assert Explorer(Engine(library, "cpu")).dials("tiny").directions.equal(first.directions)
    assert read_dials(sha256, 8).directions.equal(first.directions), "and kept"


@pytest.fixture
def searching(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Searching"]:
    """An explorer in whose search for dials nothing goes on unless the test says so."""
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path))
    searching = Searching(Explorer(Engine(library, "cpu")))
    monkeypatch.setattr(studio.explore, "find_dials", searching.find)
    yield searching
    searching.go_on.set()


class Searching:
    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.begun, self.go_on, self.searches = threading.Event(), threading.Event(), 0

    def find(self, G: StyleGAN2Generator, turn: Turn) -> Dials:
        self.searches += 1
        with turn():
            self.begun.set()
        assert self.go_on.wait(20)
        return find_dials(G, turn=turn)


def in_a_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    done: list[object] = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    return thread, done


def test_pictures_are_drawn_while_dials_are_looked_for(searching: Searching) -> None:
    search, found = in_a_thread(lambda: searching.explorer.dials("tiny"))
    assert searching.begun.wait(20)
    drawing, drawn = in_a_thread(lambda: searching.explorer.picture(TINY))
    drawing.join(20)
    assert len(drawn) == 1 and found == []
    turned, pictures = in_a_thread(lambda: searching.explorer.picture(TINY.replace(dials=dial(0, 0.5))))
    again, same = in_a_thread(lambda: searching.explorer.dials("tiny"))
    other, others = in_a_thread(lambda: searching.explorer.picture(TINY.replace(model="tiny-classes")))
    other.join(20)
    assert len(others) == 1 and pictures == [] == same, "these need what is being looked for"
    searching.go_on.set()
    for thread in (search, turned, again):
        thread.join(20)
    assert searching.searches == 1 and same == found
    assert not close(pictures[0], drawn[0])


def test_who_holds_the_device_does_not_wait_for_who_needs_it(searching: Searching) -> None:
    explorer = searching.explorer
    other, found = in_a_thread(lambda: explorer.dials("tiny"))
    assert searching.begun.wait(20)

    def hold() -> Dials:
        with explorer.engine.use("tiny"):
            searching.go_on.set()
            return explorer.dials("tiny")

    holder, dials = in_a_thread(hold)
    for thread in (holder, other):
        thread.join(20)
    assert dials[0].directions.equal(found[0].directions) and searching.searches == 2


def test_classes(explorer: Explorer, make_generator: Callable[..., StyleGAN2Generator]) -> None:
    G = make_generator(1, classes=3)
    settings = TINY.replace(model="tiny-classes")
    for label in range(3):
        assert close(explorer.picture(settings.replace(label=label)), drawn(G, 5, c=torch.eye(3)[label : label + 1]))
    with pytest.raises(SettingError, match=r"^label=3 is outside 0\.\.2, the classes of 'tiny-classes'; choose"):
        explorer.picture(settings.replace(label=3))
    assert len(explorer.dials("tiny-classes").effects) >= 1


def test_a_label_means_nothing_to_a_model_without_classes(explorer: Explorer) -> None:
    assert explorer.picture(TINY.replace(label=9)).equal(explorer.picture(TINY))


def test_a_strip_of_in_betweens(explorer: Explorer) -> None:
    strip = explorer.between(TINY.replace(walk=0.9), 5)
    assert strip.shape == (5, 1, 16, 16)
    for i in range(5):
        assert close(strip[i : i + 1], explorer.picture(TINY.replace(walk=i / 4)))
    assert close(explorer.between(TINY, 1), explorer.picture(TINY))


def test_neighbours_share_the_controls_but_the_walk(explorer: Explorer) -> None:
    grid = explorer.neighbours(TINY.replace(walk=0.8, psi=1.2, mix_fine=1), [3, 9, 3])
    assert grid.shape == (3, 1, 16, 16)
    for picture, seed in zip(grid, (3, 9, 3)):
        assert close(picture, explorer.picture(TINY.replace(seed=seed, psi=1.2, mix_fine=1))[0])


@pytest.mark.parametrize("other", [TINY.replace(model="tiny-classes"), TINY.replace(noise="none")])
def test_pictures_of_two_kinds_are_not_drawn_together(explorer: Explorer, other: ExploreSettings) -> None:
    with pytest.raises(SettingError, match="share one model and one kind of noise"):
        explorer.pictures([TINY, other])


def test_an_unknown_model(explorer: Explorer) -> None:
    for name in ("tny", "../tiny", ""):
        with pytest.raises(UnknownName, match="installed: tiny, tiny-classes$"):
            explorer.picture(TINY.replace(model=name))


def test_a_model_without_styles(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(MappedStyles, "mapping")
    with pytest.raises(CapabilityError, match="^explore needs a model with a style space w, which 'tiny' lacks"):
        explorer.picture(TINY)


@pytest.mark.parametrize(
    "name, value",
    [
        ("seed", -1),
        ("seed", MAX_SEED + 1),
        ("psi", 2.1),
        ("psi", float("nan")),
        ("walk", 1.01),
        ("path", "q"),
        ("noise", "loud"),
        ("mix_fine", -0.1),
        ("dials", [0.0] * 7),
        ("dials", [2.0] * 8),
    ],
)
def test_controls_out_of_range(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=f"^{name}"):
        ExploreSettings.from_dict({name: value})


def test_styles_are_remembered_but_not_for_ever(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = Explorer(Engine(library, "cpu"))
    monkeypatch.setattr(studio.explore, "CACHED_STYLES", 3)
    pictures = [explorer.picture(TINY.replace(seed=seed)) for seed in range(6)]
    assert len(explorer._styles) == 3
    monkeypatch.setattr(StyleGAN2Generator, "mapping", lambda *args: 1 / 0)
    assert explorer.picture(TINY.replace(seed=5)).equal(pictures[5])
    with pytest.raises(ZeroDivisionError):
        explorer.picture(TINY.replace(seed=0))


def test_a_model_exported_anew_is_drawn_anew(
    tmp_path: Path, save_tiny: Callable[..., Path], make_generator: Callable[..., StyleGAN2Generator]
) -> None:
    explorer = Explorer(Engine(Library((tmp_path,)), "cpu"))
    for seed in (0, 3):
        save_tiny(tmp_path / "tiny", seed)
        assert close(explorer.picture(TINY), drawn(make_generator(seed), 5))


def test_many_visitors(explorer: Explorer) -> None:
    wanted = [TINY.replace(seed=seed, model=model) for seed in range(4) for model in ("tiny", "tiny-classes")]
    expected = [explorer.picture(settings) for settings in wanted]
    other, got = Explorer(explorer.engine), {}

    def visit(number: int) -> None:
        got[number] = other.picture(wanted[number])

    threads = [threading.Thread(target=visit, args=[number]) for number in range(len(wanted))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert all(got[i].equal(expected[i]) for i in range(len(wanted)))


def test_what_made_a_picture(explorer: Explorer) -> None:
    settings = TINY.replace(walk=0.3, dials=dial(2, 0.5))
    said = explorer.provenance(settings)
    assert (said.tool, said.model, said.seed) == ("explore", "tiny", 5)
    assert said.model_sha256 == explorer.engine.info("tiny").sha256 and len(said.model_sha256) == 64
    assert ExploreSettings.from_dict(said.settings) == settings


# --- movement


@pytest.fixture(scope="module")
def movable(tmp_path_factory: pytest.TempPathFactory, save_tiny: Callable[..., Path]) -> Explorer:
    """`alias-free`, whose pictures move, and `tiny`, whose do not."""
    root = tmp_path_factory.mktemp("movable")
    config = StyleGAN3Config(
        resolution=16, channels=1, z_dim=8, w_dim=8, channel_base=64, channel_max=6, layers=4, critical=1, margin=4
    )
    torch.manual_seed(0)
    info = ModelInfo(model="stylegan3", config=config.to_dict(), sha256="")
    save_checkpoint(root / "alias-free", info, StyleGAN3Generator(config), "", dtype=torch.float32)
    save_tiny(root / "tiny")
    return Explorer(Engine(Library((root,)), "cpu"))


def test_pictures_move_where_the_model_can(movable: Explorer) -> None:
    still = ExploreSettings(model="alias-free", seed=3)
    many = [still, still.replace(shift_right=0.25), still.replace(shift_down=-0.5), still.replace(turn=90)]
    pictures = movable.pictures(many)
    with movable.engine.use("alias-free") as model:
        G = model.network
        ws = G.w_avg + still.psi * (G.mapping(z_from_seed(3, 8)) - G.w_avg)
        for picture, (right, down, turn) in zip(pictures, [(0, 0, 0), (0.25, 0, 0), (0, -0.5, 0), (0, 0, 90)]):
            assert close(picture, G.moved(ws, right, down, turn)[0].clamp(-1, 1))
    assert not any(close(picture, pictures[0]) for picture in pictures[1:])
    assert movable.movable("alias-free") and not movable.movable("tiny")


def test_a_model_that_cannot_be_moved_ignores_it(movable: Explorer) -> None:
    """The page's sliders keep the values they had with another model."""
    settings = TINY.replace(shift_right=0.3, turn=45)
    assert movable.picture(settings).equal(movable.picture(TINY))


def test_random_grain_is_the_same_with_and_without_the_settings_for_movement(explorer: Explorer) -> None:
    old = TINY.replace(noise="random").to_dict()
    for name in ("shift_right", "shift_down", "turn"):
        del old[name]
    torch.manual_seed(zlib.crc32(json.dumps(old).encode()))
    with explorer.engine.use("tiny") as model:
        G = model.network
        expected = G.synthesis(G.w_avg + TINY.psi * (G.mapping(z_from_seed(5, G.z_dim)) - G.w_avg), "random")
    assert close(explorer.picture(TINY.replace(noise="random")), expected.clamp(-1, 1))
