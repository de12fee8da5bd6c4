import torch

from studio.padding import padded


def test_the_mirror_image_follows() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert padded(x, 4)[0, 0].tolist() == [[0, 1, 2, 1], [3, 4, 5, 4], [0, 1, 2, 1], [3, 4, 5, 4]]
    assert padded(x, 1) is x


def test_small_pictures_are_mirrored_again_and_again() -> None:
    assert padded(torch.tensor([[[[1.0, 2]]]]), 8)[0, 0, 5].tolist() == [1, 2, 1, 2, 1, 2, 1, 2]
    assert padded(torch.ones(1, 3, 1, 1), 8, least=20).shape == (1, 3, 24, 24)
