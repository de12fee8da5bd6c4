import contextlib
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from studio.latent.directions import DEAD, DIALS, PROBES, REACH, SAMPLES, STRONG, Dials, find_dials


class Toy:
    """A StyleGenerator of which all is known: pixel i is strengths[i] * w[i], and w[i] deviates by deviations[i]."""

    channels, num_ws = 1, 2

    def __init__(self, deviations: list[float], strengths: list[float], classes: int = 0) -> None:
        self.deviations, self.strengths = torch.tensor(deviations), torch.tensor(strengths)
        self.z_dim = self.w_dim = self.resolution = len(deviations)
        self.classes = classes
        self.w_avg = torch.zeros(self.w_dim)
        self.seen: list[Tensor | None] = []

    def mapping(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        self.seen.append(c)
        return (z * self.deviations)[:, None].expand(-1, self.num_ws, -1)

    def synthesis(self, ws: Tensor, noise: str = "const") -> Tensor:
        assert ws[:, 0].equal(ws[:, 1])
        return (ws[:, 0] * self.strengths)[:, None, None, :].expand(-1, 1, self.w_dim, -1)

    def generate(self, z: Tensor, c: Tensor | None = None, psi: float = 1.0) -> Tensor:
        return self.synthesis(self.mapping(z, c))


def axes(dials: Dials) -> list[int]:
    """Which axis of w each dial moves along; each must move along one only."""
    unit = dials.directions / dials.directions.norm(dim=1, keepdim=True)
    assert unit.abs().max(dim=1).values.min() > 0.99
    return unit.abs().argmax(dim=1).tolist()


#                 axis:   0     1    2     3    4    5
DEVIATIONS = [10.0, 5.0, 2.5, 1.2, 0.6, 0.3]
STRENGTHS = [0.0, 0.002, 0.02, 0.01, 0.2, 0.1]
EFFECTS = [d * s for d, s in zip(DEVIATIONS, STRENGTHS)]  # 0, 0.01, 0.05, 0.012, 0.12, 0.03


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy(DEVIATIONS, STRENGTHS)


@pytest.fixture(scope="module")
def dials(toy: Toy) -> Dials:
    return find_dials(toy)


def test_ranked_by_what_they_do_to_the_picture(dials: Dials) -> None:
    assert axes(dials)[:3] == [4, 2, 5]
    assert dials.effects.tolist() == sorted(dials.effects.tolist(), reverse=True)


def test_the_widest_axis_is_dropped_if_nothing_comes_of_it(dials: Dials) -> None:
    assert 0 not in axes(dials)


def test_each_dial_turns_the_same_way_whatever_the_machine(dials: Dials) -> None:
    largest = dials.directions.gather(1, dials.directions.abs().argmax(dim=1, keepdim=True))
    assert (largest > 0).all()


def test_a_dial_reaches_no_further_than_real_samples(dials: Dials) -> None:
    for axis, direction in zip(axes(dials), dials.directions):
        assert 0 < direction.norm() <= REACH * DEVIATIONS[axis] * 1.05
    weak = axes(dials).index(3)  # 0.012 of the picture a deviation: never too much
    assert dials.directions[weak].norm().item() == pytest.approx(REACH * DEVIATIONS[3], rel=0.05)


def picture_unit(toy: Toy) -> float:
    """The mean difference of two of the pictures that the search tries its directions on."""
    from studio.latent.walk import z_from_seed

    w = 0.7 * torch.cat([toy.mapping(z_from_seed(1_000_000 + i, toy.z_dim))[:, 0] for i in range(4)])
    pictures = w * toy.strengths
    return torch.stack([(pictures[i] - pictures[j]).abs().mean() for i in range(4) for j in range(i)]).mean().item()


def test_an_effect_is_the_change_at_the_dials_end(toy: Toy, dials: Dials) -> None:
    unit = picture_unit(toy)
    for direction, effect in zip(dials.directions, dials.effects):
        change = (direction * toy.strengths).abs().mean().item() / unit
        assert change == pytest.approx(effect.item(), rel=0.02)
        assert DEAD <= change <= STRONG * 1.02


def test_the_strongest_stop_where_it_is_enough(dials: Dials) -> None:
    strong = axes(dials).index(4)
    assert dials.effects[strong].item() == pytest.approx(STRONG)
    assert dials.directions[strong].norm() < REACH * DEVIATIONS[4]


def test_deterministic_and_blind_to_the_global_generator(toy: Toy, dials: Dials) -> None:
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    again = find_dials(toy)
    assert again.directions.equal(dials.directions) and again.effects.equal(dials.effects)
    assert torch.random.get_rng_state().equal(before)


def test_others_may_use_the_device_in_between(dials: Dials) -> None:
    """All of the work on the generator is done in turns, and none of them is long."""
    toy, inside, turns = Toy(DEVIATIONS, STRENGTHS), [], []

    @contextlib.contextmanager
    def turn() -> Iterator[None]:
        inside.append(0)
        yield
        turns.append(inside.pop())

    def counted(work: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def counting(x: Tensor, *more: object) -> Tensor:
            inside[-1] += len(x)
            return work(x, *more)

        return counting

    toy.mapping, toy.synthesis = counted(toy.mapping), counted(toy.synthesis)
    assert find_dials(toy, turn=turn).directions.equal(dials.directions)
    mapped = [count for count in turns if count > PROBES]
    assert sum(mapped) == SAMPLES and max(mapped) <= 512
    # each of the six axes with its two ends, one of them at half its reach as well
    assert [count for count in turns if count <= PROBES] == [PROBES] * (1 + 2 * 6 + 2 * 1)


def test_large_pictures_are_drawn_one_by_one() -> None:
    toy, drawn = Toy(DEVIATIONS, STRENGTHS), []
    toy.resolution = 1024
    draw = toy.synthesis
    toy.synthesis = lambda ws: (drawn.append(len(ws)), draw(ws))[1]
    find_dials(toy)
    assert set(drawn) == {1}


def test_no_more_than_there_is_room_for() -> None:
    many = Toy([2.0**-i for i in range(12)], [0.02 * 2.0**i for i in range(12)])
    dials = find_dials(many)
    assert len(dials.directions) == len(dials.effects) == DIALS


def test_a_model_that_always_draws_the_same_has_none() -> None:
    dials = find_dials(Toy([1.0, 2.0], [0.0, 0.0]))
    assert dials.directions.shape == (0, 2)
    assert dials.offset((0.5,) * DIALS).tolist() == [0, 0]


def test_a_class_is_handed_to_every_sample() -> None:
    toy = Toy(DEVIATIONS, STRENGTHS, classes=3)
    find_dials(toy, label=1)
    c = torch.cat(toy.seen)
    assert c.equal(torch.tensor([0.0, 1.0, 0.0]).expand(SAMPLES, -1))


def test_offsets_add_up() -> None:
    dials = Dials(torch.tensor([[1.0, 2.0], [10.0, 0.0]]), torch.tensor([0.9, 0.5]))
    assert dials.offset((0.5, -1.0)).tolist() == [-9.5, 1.0]
    assert dials.offset((0.0, 0.0)).tolist() == [0, 0]
    assert dials.offset((1.0,)).tolist() == [1, 2]
    assert dials.offset((0.5, -1.0, 1.0, 1.0)).tolist() == [-9.5, 1.0]  # of dials that the model lacks
