from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.errors import DataError
from train.preview import preview
from train.recipes.damage import DamageSettings
from train.recipes.dcgan import DCGANSettings
from train.recipes.stylegan2 import StyleGAN2Settings
from train.recipes.vae import VAESettings


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Ten pictures, twice as wide as high: red, then green in the middle half, then blue; the tenth is darker."""
    for i in range(10):
        pixels = np.zeros((64, 128, 3), np.uint8)
        pixels[:, :32, 0], pixels[:, 32:96, 1], pixels[:, 96:, 2] = 255, 255, 255
        Image.fromarray(pixels // (1 if i < 9 else 3)).save(tmp_path / f"{i}.png")
    return tmp_path


def test_the_middle_square_at_the_side_that_is_learned(wide: Path) -> None:
    found = preview(wide, DCGANSettings(resolution=32), count=5)
    assert found.names == ["0.png", "2.png", "4.png", "6.png", "8.png"] and found.skipped == {}
    for cropped, augmented in zip(found.cropped, found.augmented, strict=True):
        assert cropped.size == (32, 32) and np.abs(np.asarray(cropped)[:, 2:-2].astype(int) - [0, 255, 0]).max() <= 2
        assert np.array_equal(cropped, augmented)  # this recipe changes nothing unless it is told to


def test_pictures_fit_as_the_settings_say(wide: Path) -> None:
    look = lambda fit: np.asarray(preview(wide, VAESettings(resolution=32, fit=fit), 1).cropped[0]).astype(int)
    squeezed, padded = look("squeeze"), look("pad")
    assert squeezed[:, 2].mean(axis=0).argmax() == 0 and squeezed[:, -3].mean(axis=0).argmax() == 2
    assert squeezed[:, 2, 0].min() > 200  # red from top to bottom
    assert padded[16, 2, 0] > 200 and padded[0, 2, 0] < 100  # red in the picture alone


def test_augmentation_is_what_the_settings_say(wide: Path) -> None:
    look = lambda config, **more: [np.asarray(p).astype(int) for p in preview(wide, config, 4, **more).augmented]
    plain, diff = look(VAESettings(channels=1)), look(DCGANSettings(augment="diff"))
    assert plain[0].shape == (64, 64) and diff[0].shape == (64, 64, 3)
    assert all(np.abs(a - b).mean() > 5 for a, b in zip(diff, look(DCGANSettings())))
    ada = StyleGAN2Settings()
    off, full = look(ada, strength=0.0), look(ada, strength=1.0)
    assert all(np.array_equal(a, b) for a, b in zip(off, look(DCGANSettings())))
    assert all(np.abs(a - b).mean() > 5 for a, b in zip(off, full))
    assert all(np.array_equal(a, b) for a, b in zip(full, look(ada, strength=1.0)))  # the same seed, the same look
    assert any(not np.array_equal(a, b) for a, b in zip(full, look(ada, strength=1.0, seed=1)))


def test_mirrored_pictures(tmp_path: Path) -> None:
    pixels = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    for i in range(16):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    shown = preview(tmp_path, VAESettings(mirror=True, channels=1), 16).augmented
    rising = [np.asarray(picture)[0, 0] < 100 for picture in shown]
    assert 2 <= sum(rising) <= 14


def test_recipes_that_learn_from_crops(wide: Path) -> None:
    found = preview(wide, DamageSettings(resolution=64), 3)
    assert {p.size for p in found.cropped + found.augmented} == {(64, 64)}
    # a crop of 64 px out of the square at 512: all of it green
    assert all((np.asarray(p)[8:-8, 8:-8] == [0, 255, 0]).mean() > 0.8 for p in found.augmented)


def test_damaged_files_are_named_and_others_stand_in(wide: Path, tmp_path: Path) -> None:
    (wide / "0.png").write_bytes(b"cut short")
    found = preview(wide, DCGANSettings(), 5)
    assert len(found.names) == 5 and list(found.skipped) == ["0.png"]
    for path in wide.iterdir():
        path.write_bytes(b"cut short")
    with pytest.raises(DataError, match="none of 10 pictures of .* can be read; the first is 0.png"):
        preview(wide, DCGANSettings(), 5)
