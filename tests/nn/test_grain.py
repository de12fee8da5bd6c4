import pytest
import torch

from studio.errors import SettingError
from studio.nn.grain import Grain, check_noise


def test_grain_is_fixed_drawn_or_left_out() -> None:
    grain, x = Grain(4), torch.zeros(2, 3, 4, 4)
    with torch.no_grad():
        grain.strength.fill_(2.0)
    assert torch.equal(grain(x, "const")[1, 2], 2 * grain.const) and torch.equal(grain(x, "none"), x)
    drawn = grain(x, "random")
    assert not torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[:, 0], drawn[:, 2])


def test_other_noise_is_refused() -> None:
    check_noise("none")
    with pytest.raises(SettingError, match="noise='loud' is not one of const, random, none"):
        check_noise("loud")
