from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from train.chance import SharedChance

IMAGES = torch.zeros(6, 3, 4, 4)


def drawn(draw: Callable[[int], Tensor], rank: int, ranks: int) -> Tensor:
    torch.manual_seed(7)
    with SharedChance(rank, ranks):
        torch.rand([])
        return draw(6 // ranks)


@pytest.mark.parametrize(
    "draw",
    [
        lambda n: torch.randn(n, 5),
        lambda n: torch.rand(n),
        lambda n: torch.rand((n, 1, 1, 1)),
        lambda n: torch.randn(size=(n, 2)),
        lambda n: torch.randint(1, 90, [n, 1]),
        lambda n: torch.randint(90, (n,)),
        lambda n: torch.randint(high=90, size=(n, 3)),
        lambda n: torch.randn_like(IMAGES[:n]),
        lambda n: torch.rand_like(IMAGES[:n]),
        lambda n: torch.randn_like(IMAGES[:n].contiguous(memory_format=torch.channels_last)),
        lambda n: torch.randn(torch.Size([n, 2]), device="cpu", dtype=torch.float64),
    ],
)
@pytest.mark.parametrize("ranks", [2, 3])
def test_each_process_gets_its_share_of_one_draw(draw: Callable[[int], Tensor], ranks: int) -> None:
    whole = drawn(draw, 0, 1)
    torch.manual_seed(7)
    torch.rand([])
    assert torch.equal(whole, draw(6))  # one process draws as if there were nothing around it
    for rank in range(ranks):
        mine = drawn(draw, rank, ranks)
        assert torch.equal(mine, whole[rank::ranks]) and mine.dtype == whole.dtype


def test_what_has_no_pictures_is_everybodys_and_ones_own_generator_is_left_alone() -> None:
    number = [drawn(lambda n: torch.rand([]), rank, 2) for rank in (0, 1)]
    choice = [drawn(lambda n: torch.randint(2**40, []), rank, 2) for rank in (0, 1)]
    assert torch.equal(*number) and torch.equal(*choice)
    own = [drawn(lambda n: torch.randn(n, generator=torch.Generator().manual_seed(1)), rank, 2) for rank in (0, 1)]
    assert torch.equal(*own) and len(own[0]) == 3
