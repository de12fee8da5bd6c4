import torch

from studio.coarse import doubled, halved


def test_a_pixel_is_the_mean_of_what_is_known_of_four() -> None:
    picture = torch.tensor([[1.0, 3, 10, 10], [5, float("nan"), 10, 10]]).view(1, 1, 2, 4)
    mask = torch.tensor([[False, False, True, True], [False, True, True, True]]).view(1, 1, 2, 4)
    half, hole = halved(picture, mask)
    assert half.flatten().tolist() == [3, 0] and hole.flatten().tolist() == [False, True]


def test_odd_sides_are_rounded_up_and_come_back() -> None:
    picture = torch.full((1, 3, 7, 5), 0.25)
    half, hole = halved(picture, torch.zeros(1, 1, 7, 5, dtype=torch.bool))
    assert half.shape == (1, 3, 4, 3) and not hole.any()
    assert torch.equal(doubled(half, 7, 5), picture)
