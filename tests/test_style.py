import colorsys
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import studio.painting
from studio.canvas import Pixels, everything
from studio.engine import Engine
from studio.errors import Cancelled, CapabilityError, ImageError, SettingError, UnknownName
from studio.images import save_picture
from studio.library import Library
from studio.originals import read_style
from studio.provenance import read
from studio.raster.opening import Picture
from studio.style import Stylist, read_provenance
from studio.styling import StyleSettings
from tests.picture_files import linear_grey_profile, swapped_profile
from tests.tiny_style import blobs, picture, save_style


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, save_tiny: Callable[..., Path]) -> Path:
    root = tmp_path_factory.mktemp("models")
    save_style(root / "style")
    save_tiny(root / "tiny")
    return root


@pytest.fixture(scope="module")
def stylist(models: Path) -> Stylist:
    return Stylist(Engine(Library((models,)), "cpu"))


@pytest.fixture
def small_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio.painting, "BASE_SIDE", 64)
    monkeypatch.setattr(studio.painting, "SAMPLE_SIDE", 32)


PHOTO = picture(blobs(72, 96))
STYLE, OTHER = picture(blobs(64, 80, seed=9)), picture(blobs(60, 60, seed=7))


def paint(
    stylist: Stylist, photo: Picture = PHOTO, styles: Sequence[Picture] = (STYLE,), masks: Sequence[np.ndarray] = (),
    **settings: object,
) -> np.ndarray:
    """The result's levels as int, to subtract from."""
    given = [picture(mask[..., None]) for mask in masks]
    return stylist.stylize(photo, styles, StyleSettings(**settings), masks=given).pixels.astype(int)


def test_it_paints(stylist: Stylist) -> None:
    painted = stylist.stylize(PHOTO, [STYLE])
    assert painted.pixels.shape == PHOTO.pixels.shape and painted.pixels.dtype == np.uint8
    assert np.abs(painted.pixels.astype(int) - PHOTO.pixels).mean() > 10
    assert not np.array_equal(painted.pixels, stylist.stylize(PHOTO, [OTHER]).pixels)


# Strength


def test_strength_0_is_the_photo(stylist: Stylist, small_base: None) -> None:
    assert (paint(stylist, strength=0.0) == PHOTO.pixels).all()
    large = picture(blobs(333, 250))
    assert np.abs(paint(stylist, large, strength=0.0) - large.pixels).mean() < 2


def test_strength_leads_evenly_from_the_photo_to_the_painting(stylist: Stylist) -> None:
    way = [paint(stylist, strength=share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    full = np.abs(way[-1] - way[0]).mean()
    steps = [np.abs(after - before).mean() for before, after in zip(way, way[1:])]
    assert steps == pytest.approx([full / 4] * 4, rel=0.1)


# Several styles


def test_the_same_style_twice_is_the_style_once(stylist: Stylist, small_base: None) -> None:
    twice = paint(stylist, styles=[STYLE, STYLE], weights=(0.5, 0.5))
    assert np.abs(twice - paint(stylist)).max() <= 1


def test_weights(stylist: Stylist) -> None:
    both = lambda *weights: paint(stylist, styles=[STYLE, OTHER], weights=weights)
    assert np.abs(both(1.0, 0.0) - paint(stylist)).max() <= 1
    assert np.abs(both(0.0, 0.3) - paint(stylist, styles=[OTHER])).max() <= 1
    assert np.abs(both() - both(0.7, 0.7)).max() <= 1
    ends, middle = np.abs(both(1.0, 0.0) - both(0.0, 1.0)).mean(), np.abs(both(1.0, 0.0) - both(0.5, 0.5)).mean()
    assert 0.2 * ends < middle < 0.9 * ends


# Masks


@pytest.mark.parametrize("settings", [{}, {"detail": 1.0}, {"keep_colour": "luminance"}, {"stroke": 3.0}])
def test_outside_of_the_mask_every_byte_stays(stylist: Stylist, small_base: None, settings: dict) -> None:
    mask = np.zeros((72, 96), np.uint8)
    mask[20:50, 30:70] = 255
    painted = paint(stylist, masks=[mask], **settings)
    assert (painted[mask == 0] == PHOTO.pixels[mask == 0]).all()
    plain = paint(stylist, **settings)
    inside = (slice(24, 46), slice(34, 66))
    assert np.abs(painted[inside] - plain[inside]).max() <= 1 and np.abs(plain - PHOTO.pixels)[inside].mean() > 5


def test_a_mask_for_each_style(stylist: Stylist) -> None:
    left = np.zeros((72, 96), np.uint8)
    left[:, :40] = 255
    right = np.zeros((72, 96), np.uint8)
    right[:, 60:] = 255
    painted = paint(stylist, styles=[STYLE, OTHER], masks=[left, right])
    assert np.abs(painted[:, :35] - paint(stylist)[:, :35]).max() <= 1
    assert np.abs(painted[:, 65:] - paint(stylist, styles=[OTHER])[:, 65:]).max() <= 1
    assert (painted[:, 40:60] == PHOTO.pixels[:, 40:60]).all()


def test_a_style_of_weight_0_leaves_its_region(stylist: Stylist) -> None:
    masks = np.zeros((2, 72, 96), np.uint8)
    masks[0, :36], masks[1, 36:] = 255, 255
    painted = paint(stylist, styles=[STYLE, OTHER], masks=list(masks), weights=(0.0, 0.5))
    assert (painted[:36] == PHOTO.pixels[:36]).all() and np.abs(painted - PHOTO.pixels)[40:].mean() > 5


def test_clear_parts_of_a_mask_are_black(stylist: Stylist) -> None:
    brush = np.full((72, 96, 4), 255, np.uint8)
    brush[:36, :, 3] = 0
    painted = stylist.stylize(PHOTO, [STYLE], masks=[picture(brush)]).pixels
    assert (painted[:36] == PHOTO.pixels[:36]).all() and (painted[60:] != PHOTO.pixels[60:]).any()


def test_a_mask_of_another_size(stylist: Stylist) -> None:
    small = picture(np.full((36, 48, 1), 255, np.uint8))
    expected = (
        r"the mask has 48 x 36 px and the picture 96 x 72; make them the same, "
        r"or have the mask stretched \(--fit-masks\)"
    )
    with pytest.raises(ImageError, match=f"^{expected}$"):
        stylist.stylize(PHOTO, [STYLE], masks=[small])
    painted = stylist.stylize(PHOTO, [STYLE], masks=[small], fit_masks=True)
    assert np.abs(painted.pixels.astype(int) - paint(stylist)).max() <= 1


# Colour, detail, strokes


def hues(pixels: np.ndarray) -> np.ndarray:
    shares = (pixels / np.iinfo(pixels.dtype).max).reshape(-1, 3)
    return np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in shares])


def test_keep_colour_luminance_keeps_hues(stylist: Stylist) -> None:
    """In 16 bits, in which rounding turns no hue that can be seen."""
    photo = picture(blobs(72, 96, dtype=np.uint16))
    painted = stylist.stylize(photo, [STYLE], StyleSettings(keep_colour="luminance")).pixels
    colourful = (np.ptp(painted, axis=2) > 500).ravel()
    turn = np.abs(hues(painted) - hues(photo.pixels))[colourful]
    assert colourful.mean() > 0.5 and np.minimum(turn, 1 - turn).max() < 0.005
    assert np.abs(painted.astype(int) - photo.pixels).mean() > 5 * 257


def test_keep_colour_histogram_keeps_the_palette(stylist: Stylist) -> None:
    night = picture(blobs(64, 64, seed=3) // 5 + np.array([0, 0, 60], np.uint8))
    mean = lambda pixels: pixels.mean(axis=(0, 1))
    cast = lambda how: mean(paint(stylist, styles=[night], keep_colour=how)) - mean(PHOTO.pixels)
    assert np.abs(cast("histogram")).max() < 0.4 * np.abs(cast("no")).max()


def test_detail_brings_the_painting_nearer_to_the_photos_grain(stylist: Stylist) -> None:
    grain = lambda pixels: np.diff(pixels.mean(axis=2), axis=1).ravel()
    like = lambda pixels: np.corrcoef(grain(pixels), grain(PHOTO.pixels))[0, 1]
    alike = [like(paint(stylist, detail=amount)) for amount in (0.0, 0.5, 1.0)]
    assert alike[0] < alike[1] < alike[2]


def test_strokes_of_other_sizes_paint_otherwise(stylist: Stylist, small_base: None) -> None:
    made = [paint(stylist, stroke=stroke) for stroke in (0.25, 1.0, 4.0)]
    assert all(np.abs(a - b).mean() > 2 for a, b in zip(made, made[1:]))


def test_a_style_is_read_larger_for_broad_strokes() -> None:
    style = picture(np.random.default_rng(0).integers(0, 256, (100, 120, 3), np.uint8).repeat(8, 0).repeat(8, 1))
    sizes = [read_style(style, stroke, b"").shape[2:] for stroke in (0.25, 1.0, 4.0)]
    assert sizes == [(256, 307), (512, 614), (800, 960)]
    assert read_style(picture(blobs(1, 1)), 1.0, b"").shape == (1, 3, 16, 16)
    assert read_style(picture(blobs(20, 3000)), 1.0, b"").shape[3] <= 1024


# Sizes


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (333, 1021), (1, 200)])
def test_every_size(stylist: Stylist, small_base: None, size: tuple[int, int]) -> None:
    photo = picture(blobs(*size))
    for settings in ({}, {"detail": 0.5, "keep_colour": "luminance", "stroke": 2.0}):
        assert paint(stylist, photo, **settings).shape == (*size, 3)


def test_tiles_leave_no_seam_in_the_result(
    stylist: Stylist, small_base: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, mask = picture(blobs(290, 410)), np.zeros((290, 410), np.uint8)
    mask[10:280, 40:390] = 255
    options = {"detail": 0.7, "keep_colour": "luminance"}
    whole = paint(stylist, photo, masks=[mask], **options)
    monkeypatch.setattr(studio.style, "TILE", 64)
    tiled = paint(stylist, photo, masks=[mask], **options)
    assert np.abs(whole - tiled).max() <= 2


@pytest.mark.parametrize("longest, shape", [(40, (30, 40)), (200, (150, 200)), (96, (72, 96)), (1, (1, 1))])
def test_a_result_of_another_size(stylist: Stylist, longest: int, shape: tuple[int, int]) -> None:
    mask = np.full((72, 96), 255, np.uint8)
    assert paint(stylist, size=longest, masks=[mask]).shape == (*shape, 3)


def test_a_result_that_would_be_too_large(stylist: Stylist) -> None:
    expected = "size=30000 makes 30000 x 22500 = 675 megapixels, over the limit of 200; give at most 16329"
    with pytest.raises(SettingError, match=f"^{expected}$"):
        stylist.stylize(PHOTO, [STYLE], StyleSettings(size=30_000))


# What a file brings


def test_what_lies_beside_the_pixels_stays(stylist: Stylist) -> None:
    photo = dataclasses.replace(PHOTO, format="JPEG", icc=swapped_profile(), exif=b"Exif\0\0...", dpi=(300.0, 300.0))
    painted = stylist.stylize(photo, [STYLE])
    for name in ("format", "bits", "icc", "exif", "dpi"):
        assert getattr(painted, name) == getattr(photo, name)


def test_16_bits_stay(stylist: Stylist) -> None:
    painted = stylist.stylize(picture(blobs(72, 96, dtype=np.uint16)), [STYLE]).pixels
    assert painted.dtype == np.uint16 and len(np.unique(painted % 257)) > 200
    assert np.abs(painted / 257 - paint(stylist)).mean() < 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_stays(stylist: Stylist, dtype: type, channels: int) -> None:
    photo = picture(blobs(40, 56, dtype=dtype, channels=channels))
    painted = stylist.stylize(photo, [STYLE]).pixels
    assert painted.shape == (40, 56, 4) and (painted[..., 3] == photo.pixels[..., -1]).all()
    larger = stylist.stylize(photo, [STYLE], StyleSettings(size=112)).pixels
    assert larger.shape == (80, 112, 4) and abs(larger[..., 3].mean() / photo.pixels[..., -1].mean() - 1) < 0.02


def test_what_is_transparent_does_not_colour_the_rest(stylist: Stylist) -> None:
    """Behind a clear half may be anything: the half that shows is painted the same."""
    one, other = np.full((40, 64, 4), 255, np.uint8), np.zeros((40, 64, 4), np.uint8)
    one[:, 32:] = other[:, 32:] = blobs(40, 32, channels=4) | np.array([0, 0, 0, 255], np.uint8)
    one[:, :32, 3] = 0
    first, second = (stylist.stylize(picture(pixels), [STYLE]).pixels.astype(int)[:, 32:] for pixels in (one, other))
    assert np.abs(first - second).max() <= 1


def test_grey_becomes_colour(stylist: Stylist) -> None:
    painted = stylist.stylize(picture(blobs(40, 56, channels=1)), [STYLE]).pixels
    assert painted.shape == (40, 56, 3) and np.ptp(painted.astype(int), axis=2).max() > 10


def test_grey_with_a_profile_of_its_own_becomes_srgb(stylist: Stylist) -> None:
    grey = picture(blobs(40, 56, channels=1), icc=linear_grey_profile())
    result = stylist.stylize(grey, [STYLE], StyleSettings(strength=0.0))
    assert result.icc == b"" and np.abs(result.pixels.astype(int) - np.asarray(grey.rgb())).max() <= 1


def test_a_styles_margins_are_left_out() -> None:
    framed = np.zeros((84, 104, 3), np.uint8)
    framed[4:-4, 4:-4] = np.random.default_rng(0).integers(0, 256, (76, 96, 3), np.uint8)
    assert read_style(picture(framed), 1.0, b"").min(dim=3).values.amax() < -0.5  # each line has dark spots ...
    assert read_style(picture(framed), 1.0, b"").amax(dim=3).min() > 0.5  # ... and light ones


def test_a_styles_colours_follow_the_photos_profile() -> None:
    """In numbers whose red and blue are exchanged, the same colours are those with red and blue exchanged."""
    plain, swapped = read_style(STYLE, 1.0, b""), read_style(STYLE, 1.0, swapped_profile())
    assert (plain[:, [2, 1, 0]] - swapped).abs().max() < 0.04
    there = dataclasses.replace(STYLE, icc=swapped_profile())
    assert (read_style(there, 1.0, swapped_profile()) - plain).abs().max() < 0.04


# Preview


def test_a_preview_is_what_comes_out(stylist: Stylist) -> None:
    for settings in ({}, {"keep_colour": "luminance", "strength": 0.6}, {"stroke": 2.0, "detail": 1.0}):
        found = stylist.preview(PHOTO, [STYLE], StyleSettings(**settings)).astype(int)
        assert np.abs(found - paint(stylist, **settings)).max() <= 1


def test_a_large_photos_preview_looks_like_the_result(
    stylist: Stylist, small_base: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio.style, "PREVIEW_SIDE", 64)
    photo = picture(blobs(240, 320))
    small = stylist.preview(photo, [STYLE]).astype(float)
    assert small.shape == (48, 64, 3)
    result = stylist.stylize(photo, [STYLE]).pixels.reshape(48, 5, 64, 5, 3).mean(axis=(1, 3))
    apart = np.abs(small - result).mean()
    unpainted = np.abs(small - photo.pixels.reshape(48, 5, 64, 5, 3).mean(axis=(1, 3))).mean()
    assert apart < 0.45 * unpainted


def test_previews_are_small_srgb_and_over_white(stylist: Stylist) -> None:
    clear = np.zeros((700, 1400, 4), np.uint8)
    shown = stylist.preview(picture(clear), [STYLE])
    assert shown.shape == (320, 640, 3) and shown.dtype == np.uint8 and (shown == 255).all()
    swapped = dataclasses.replace(PHOTO, icc=swapped_profile())
    found = stylist.preview(swapped, [STYLE], StyleSettings(strength=0.0)).astype(int)
    assert np.abs(found - PHOTO.pixels[..., ::-1]).max() <= 3


def test_another_strength_paints_nothing_again(stylist: Stylist, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = StyleSettings(stroke=1.23)
    stylist.preview(PHOTO, [STYLE], settings)
    monkeypatch.setattr(studio.painting.Painter, "paint", lambda *arguments, **options: pytest.fail("painted again"))
    again = stylist.preview(dataclasses.replace(PHOTO), [dataclasses.replace(STYLE)], settings.replace(strength=0.0))
    assert np.abs(again.astype(int) - PHOTO.pixels).max() <= 1


def test_another_style_or_photo_is_painted(stylist: Stylist) -> None:
    shown = [stylist.preview(*what) for what in [(PHOTO, [STYLE]), (PHOTO, [OTHER]), (OTHER, [OTHER])]]
    assert not np.array_equal(shown[0], shown[1]) and shown[2].shape == OTHER.pixels.shape
    mixed = [stylist.preview(PHOTO, [STYLE, OTHER], StyleSettings(weights=w)) for w in ((0.9, 0.1), (0.1, 0.9))]
    assert not np.array_equal(*mixed)


def test_codes_are_remembered(stylist: Stylist) -> None:
    assert stylist.code(STYLE, 0.77) is stylist.code(dataclasses.replace(STYLE), 0.77)
    assert stylist.code(STYLE, 0.77) is not stylist.code(STYLE, 0.78)


# Progress, provenance, bad input


def test_progress_goes_from_0_to_1(stylist: Stylist, small_base: None) -> None:
    heard: list[float] = []
    stylist.stylize(picture(blobs(200, 300)), [STYLE], progress=heard.append)
    assert heard == sorted(heard) and heard[-1] == 1 and len(heard) > 1


def test_cancelled(stylist: Stylist, small_base: None) -> None:
    heard: list[float] = []
    with pytest.raises(Cancelled):
        stylist.stylize(
            picture(blobs(200, 300)), [STYLE], progress=heard.append, cancelled=lambda: len(heard) == 1
        )
    assert len(heard) == 1


def test_frames_of_a_film_share_a_look(stylist: Stylist) -> None:
    frames = [blobs(72, 96), blobs(72, 96, seed=1)]
    styling = stylist.styling((72, 96), [STYLE], StyleSettings())
    canvases = [Pixels(frame, torch.device("cpu")) for frame in frames]
    first, looks = styling.paint(canvases[0])
    second, same = styling.paint(canvases[1], looks)
    assert same == looks and second.size == (72, 96)
    own, _ = styling.paint(canvases[1])
    difference = second.look(everything(second)) - own.look(everything(own))
    assert difference.abs().mean() > 0.01


def test_provenance_says_what_and_not_where(stylist: Stylist, models: Path, tmp_path: Path) -> None:
    settings = StyleSettings(strength=0.7, weights=(0.25, 0.75), keep_colour="luminance", stroke=2.0, size=50)
    styles = [("one.png", "a" * 64), (str(tmp_path / "secret" / "two.jpg"), "b" * 64)]
    made = Stylist(Engine(Library((), any_folder=True), "cpu"), str(models / "style")).provenance(settings, styles)
    assert made.tool == "style" and made.model == "style" and made.model_sha256 == stylist.engine.info("style").sha256
    save_picture(tmp_path / "a.jpg", PHOTO, labels=made.labels())
    back = read(tmp_path / "a.jpg")
    assert read_provenance(back) == (settings, [("one.png", "a" * 64), ("two.jpg", "b" * 64)])
    assert "secret" not in made.to_json() and str(models) not in made.to_json()
    broken = dataclasses.replace(back, settings={**back.settings, "styles": [1]})
    with pytest.raises(SettingError, match="the picture's styles cannot be read"):
        read_provenance(broken)


@pytest.mark.parametrize(
    "styles, masks, settings, sentence",
    [
        (0, 0, {}, r"0 styles; choose 1 to 4"),
        (5, 0, {}, r"5 styles; choose 1 to 4"),
        (2, 0, {"weights": (1.0,)}, r"1 weights do not fit 2 styles; give one for each, or none"),
        (3, 2, {}, r"2 masks do not fit 3 styles; give one for all, or one for each"),
    ],
)
def test_counts_that_do_not_fit(stylist: Stylist, styles: int, masks: int, settings: dict, sentence: str) -> None:
    given = [picture(np.full((72, 96, 1), 255, np.uint8))] * masks
    for make in (stylist.stylize, stylist.preview):
        with pytest.raises(SettingError, match=f"^{sentence}$"):
            make(PHOTO, [STYLE] * styles, StyleSettings(**settings), masks=given)


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"weights": (0.0, 0.0)}, "weights are all 0; raise the weight of one style"),
        ({"weights": (1.0,) * 5}, "weights has 5 values; give one for each of up to 4 styles"),
        ({"strength": 1.5}, r"strength=1.5 is outside 0..1 \(how far from the photo to the painting\)"),
        ({"stroke": 0.1}, r"stroke=0.1 is outside 0.25..4 \(size of the strokes\)"),
        ({"keep_colour": "yes"}, "keep_colour='yes' is not one of no, luminance, histogram"),
    ],
)
def test_settings_that_cannot_be(settings: dict, sentence: str) -> None:
    with pytest.raises(SettingError, match=f"^{sentence}$"):
        StyleSettings(**settings)


def test_models_that_cannot(models: Path) -> None:
    engine = Engine(Library((models,)), "cpu")
    with pytest.raises(CapabilityError, match="style needs a model with painting in any style, which 'tiny' lacks"):
        Stylist(engine, "tiny").check()
    with pytest.raises(UnknownName, match="no model named 'nobody'"):
        Stylist(engine, "nobody").stylize(PHOTO, [STYLE])
