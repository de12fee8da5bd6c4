"""Enlarging and cleaning, for restore.py: ours as `upscale` and `denoise` do it, and others."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.cases import Openers, Row, cut, squares
from benchmarks.fidelity import Judge
from benchmarks.ncnn_peers import RealESRGAN, Waifu2xCleaner, Waifu2xUpscaler, missing
from benchmarks.timing import table, verdict
from studio.engine import Engine
from studio.enlarge import DenoiseSettings, Enlarger, UpscaleSettings
from studio.errors import DataError
from studio.images import Picture, to_pil, to_tensor
from train.degrade import MAX_SIGMA, degrade

OURS, BICUBIC, NOISY = "ours", "bicubic", "as it is"
SCALE, SIDE = 4, 512  # px of the originals
SIGMA = 20 / 255
WORN = 0.2  # strength at which train/degrade.py wears a picture
DENOISE_AIM = 4  # dB
NLM_STRENGTH = 16  # of OpenCV's non-local means: of 6 to 20 the one with the best PSNR at this noise
SHEET_ROWS = 4
MEASURES = ("PSNR", "SSIM", "VGG", "Lite0", "ms")

Maker = Callable[[Image.Image], Image.Image]
Figures = dict[str, dict[str, dict[str, float]]]  # by task, contender and measure


def upscalers(engine: Engine, model: str | Path, strength: float) -> dict[str, Maker]:
    """Everyone who enlarges, by name; strength: how much noise there is, which ours is told."""
    enlarger, settings = Enlarger(engine, model), UpscaleSettings(scale=SCALE, strength=strength)
    larger = lambda image: tuple(SCALE * side for side in image.size)
    makers: dict[str, Maker] = {
        BICUBIC: lambda image: image.resize(larger(image), Image.Resampling.BICUBIC),
        OURS: lambda image: enlarger.upscale(_picture(image), settings).rgb(),
    }
    if not missing(RealESRGAN.package):
        for name in RealESRGAN.models:
            makers[f"Real-ESRGAN {name}"] = RealESRGAN(name)
    if not missing(Waifu2xUpscaler.package):
        makers["waifu2x photo, x2 twice"] = Waifu2xUpscaler(noisy=strength > 0)
    return makers


def cleaners(engine: Engine, model: str | Path) -> dict[str, Maker]:
    """Everyone who takes noise away, by name. Ours and OpenCV are told how much there is."""
    enlarger, settings = Enlarger(engine, model), DenoiseSettings(strength=SIGMA / MAX_SIGMA)
    makers: dict[str, Maker] = {
        NOISY: lambda image: image,
        "bicubic, halved and back": lambda image: image.resize(
            (image.width // 2, image.height // 2), Image.Resampling.BICUBIC
        ).resize(image.size, Image.Resampling.BICUBIC),
        "OpenCV non-local means": lambda image: Image.fromarray(
            cv2.fastNlMeansDenoisingColored(np.asarray(image), None, NLM_STRENGTH, NLM_STRENGTH)
        ),
        OURS: lambda image: enlarger.denoise(_picture(image), settings).rgb(),
    }
    if not missing(Waifu2xCleaner.package):
        makers["waifu2x, noise 3"] = Waifu2xCleaner()
        makers["waifu2x photo, noise 3, halved"] = Waifu2xCleaner(photo=True)
    return makers


def small(image: Image.Image, number: int) -> Image.Image:
    return image.resize((image.width // SCALE, image.height // SCALE), Image.Resampling.BICUBIC)


def worn(image: Image.Image, number: int) -> Image.Image:
    """Small, and with blur, noise and JPEG besides; the number decides which."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(number)
        return to_pil(degrade(to_tensor(image), torch.tensor([WORN]), SCALE))


def noisy(image: Image.Image, number: int) -> Image.Image:
    noise = np.random.default_rng(number).normal(0, 255 * SIGMA, (*image.size[::-1], 3))
    return Image.fromarray(np.rint(np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def enlarge_all(
    openers: Openers, engine: Engine, model: str | Path, judge: Judge, cases: int
) -> tuple[Figures, dict[str, list[Row]]]:
    """Means over `cases` pictures, by task, and rows of a contact sheet. Prints a table for each task.

    Raises DataError where no picture is large enough, StudioError if the model cannot be loaded.
    """
    Enlarger(engine, model).check()
    chosen = squares(openers, SIDE, cases)
    if not chosen:
        raise DataError(f"no held-out picture has {SIDE} px on its shorter side; give larger ones (--unseen)")
    for package in dict.fromkeys((RealESRGAN.package, Waifu2xUpscaler.package)):
        if said := missing(package):
            print(said, end="\n\n", flush=True)
    tasks: dict[str, tuple[Callable[[Image.Image, int], Image.Image], dict[str, Maker]]] = {
        f"x{SCALE}": (small, upscalers(engine, model, 0)),
        f"x{SCALE}, worn": (worn, upscalers(engine, model, WORN)),
        "denoise": (noisy, cleaners(engine, model)),
    }
    figures, sheet = {}, {}
    for task, (spoil, makers) in tasks.items():
        figures[task], sheet[task] = _measure(chosen, spoil, makers, judge)
        print_made(task, figures[task], len(chosen))
    return figures, sheet


def _measure(
    chosen: list[tuple[str, Image.Image]], spoil: Callable[[Image.Image, int], Image.Image], makers: dict[str, Maker],
    judge: Judge,
) -> tuple[dict[str, dict[str, float]], list[Row]]:
    found = {name: {measure: [] for measure in MEASURES} for name in makers}
    rows: list[Row] = []
    first = spoil(chosen[0][1], 0)
    for make in makers.values():  # once unseen: the first run of a size pays for its memory
        make(first)
    for number, (_, image) in enumerate(chosen):
        spoiled, wanted = spoil(image, number), to_tensor(image)
        seen, everywhere = judge.look(wanted), torch.ones(1, 1, *wanted.shape[2:])
        row = {}
        for name, make in makers.items():
            start = time.perf_counter()
            row[name] = make(spoiled)
            ms = 1000 * (time.perf_counter() - start)
            for measure, value in {**judge.measure(to_tensor(row[name]), wanted, seen, everywhere), "ms": ms}.items():
                found[name][measure].append(value)
        if number < SHEET_ROWS:
            rows.append({name: cut(picture) for name, picture in {**row, "whole": image}.items()})
    middle = lambda measure, values: (statistics.median if measure == "ms" else statistics.fmean)(values)
    return {name: {m: middle(m, values) for m, values in each.items()} for name, each in found.items()}, rows


def print_made(task: str, found: dict[str, dict[str, float]], cases: int) -> None:
    """The table of one task; gains are over bicubic, or over the noisy picture."""
    base = found[NOISY if task == "denoise" else BICUBIC]["PSNR"]
    rows = []
    for name, of in found.items():
        gain = of["PSNR"] - base
        aim = verdict(gain, DENOISE_AIM) if name == OURS and task == "denoise" else ""
        distances = [f"{of[measure]:.3f}" for measure in MEASURES[1:4]]
        rows.append([name, f"{of['PSNR']:.2f}", f"{gain:+.2f}", *distances, f"{of['ms']:.0f}", aim])
    noise = f", sigma {255 * SIGMA:.0f}/255" if task == "denoise" else ""
    title = f"{task}{noise}: {cases} pictures of {SIDE} px"
    print(table(title, ["", "PSNR", "gain", *MEASURES[1:], ""], rows), end="\n\n", flush=True)


def _picture(image: Image.Image) -> Picture:
    return Picture(np.asarray(image), "PNG", 8, b"", b"")
