import math

import torch

from train.losses.perceptual import (
    content_loss, contrastive_loss, covariance, covariance_loss, flat_variation, moments, style_loss,
)


def test_moments_are_means_and_deviations() -> None:
    response = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    expected = torch.tensor([[[2.0, 5.0], [1.0, 0.0]]])
    torch.testing.assert_close(moments({"a": response})["a"], expected, atol=1e-5, rtol=0)


def test_style_loss_is_nought_for_the_style_itself_and_ignores_where_things_are() -> None:
    response = {"a": torch.rand(2, 4, 8, 8)}
    shuffled = {"a": response["a"].flatten(2)[:, :, torch.randperm(64)].view(2, 4, 8, 8)}
    torch.testing.assert_close(style_loss(moments(shuffled), moments(response)), torch.zeros(2), atol=1e-9, rtol=0)


def test_style_loss_is_the_squared_distance_over_the_styles_strength() -> None:
    wanted = {"a": torch.full([1, 2, 3], 2.0)}
    found = {"a": torch.full([2, 2, 3], 3.0)}
    torch.testing.assert_close(style_loss(found, wanted), torch.full([2], 1 / 4.05))


def test_neighbours_share_a_style() -> None:
    wanted = {"a": torch.stack([torch.zeros(2, 3), torch.ones(2, 3)])}
    found = {"a": torch.stack([torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(2, 3), torch.ones(2, 3)])}
    assert style_loss(found, wanted).tolist() == [0, 0, 0, 0]


def test_covariance_is_the_mean_product_of_what_departs_from_the_mean() -> None:
    response = torch.tensor([[[[1.0, 3.0]], [[3.0, 7.0]]]])
    assert torch.equal(covariance(response), torch.tensor([[[1.0, 2.0], [2.0, 4.0]]]))
    torch.testing.assert_close(covariance(response + 100), covariance(response))


def test_covariance_loss_is_relative() -> None:
    wanted = torch.full([1, 2, 2], 100.0)
    torch.testing.assert_close(
        covariance_loss(wanted.expand(3, 2, 2) * 1.1, wanted), torch.full([3], 0.01), atol=1e-5, rtol=0
    )


def test_content_loss_is_relative_and_sees_where_things_are() -> None:
    x = torch.rand(1, 4, 8, 8) + 1
    assert content_loss(x, x).item() == 0
    assert content_loss(x.flip(3), x) > 0
    strong = content_loss(x * 110, x * 100)
    torch.testing.assert_close(strong, torch.tensor([0.01]), atol=1e-4, rtol=0)


def test_contrast_is_low_where_each_picture_is_nearest_to_its_own_style() -> None:
    torch.manual_seed(0)
    wanted = {"a": torch.rand(4, 2, 16)}
    own = {"a": wanted["a"].repeat_interleave(2, dim=0)}
    others = {"a": own["a"].roll(2, dims=0)}
    assert (contrastive_loss(own, wanted) < 0.1).all() and (contrastive_loss(others, wanted) > 2).all()
    same = {"a": wanted["a"][:1].expand(4, 2, 16)}
    torch.testing.assert_close(contrastive_loss(own, same).mean(), torch.tensor(math.log(4)), atol=1e-5, rtol=0)


def test_variation_counts_where_the_guide_is_flat() -> None:
    board = ((torch.arange(8)[:, None] + torch.arange(8)) % 2).float().expand(1, 3, 8, 8) * 2 - 1
    flat = torch.zeros(1, 3, 8, 8)
    torch.testing.assert_close(flat_variation(board, flat), torch.tensor([4.0]))  # a step of 2 along each axis
    assert flat_variation(board, board) < 1e-6
    assert flat_variation(flat, board) == 0
