import pytest
import torch

from train.perception import Perception


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(torch.device("cpu"))


@pytest.mark.parametrize(("channels", "side"), [(1, 16), (3, 64)])
def test_a_picture_is_like_itself_and_less_like_another(perception: Perception, channels: int, side: int) -> None:
    torch.manual_seed(0)
    pictures = torch.rand(2, channels, side, side) * 2 - 1
    assert perception.distance(pictures, pictures).tolist() == [0.0, 0.0]
    near = perception.distance(pictures + 0.02 * torch.randn_like(pictures), pictures)
    far = perception.distance(pictures.flip(0), pictures)
    assert (0 < near).all() and (near < far / 2).all()


def test_only_what_was_made_learns(perception: Perception) -> None:
    made, wanted = torch.zeros(1, 3, 16, 16, requires_grad=True), torch.rand(1, 3, 16, 16, requires_grad=True)
    perception.distance(made, wanted).sum().backward()
    assert made.grad.abs().sum() > 0 and wanted.grad is None
