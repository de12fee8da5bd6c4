"""What is done before the first visitor asks: the first model's loading, its first picture, its dials."""

import os
import time

import torch

from studio.errors import StudioError
from studio.explore import ExploreSettings
from studio.ui.services import Services

TRIES = 3


def warm(services: Services) -> None:
    """Make the first model ready. A model that fails says so on the page, where the person can choose another."""
    settings = services.opening()
    try:
        services.explorer.picture(settings)
        if services.explorer.engine.device.type == "cpu":
            choose_threads(services, settings)
        services.explorer.dials(settings.model)
    except StudioError:
        return


def choose_threads(services: Services, settings: ExploreSettings) -> int:
    """Use as many threads as make a single picture soonest, by trial: on a busy machine one often beats all."""
    best: dict[int, float] = {}
    for count in {1, max(1, (os.cpu_count() or 1) // 2), os.cpu_count() or 1}:
        torch.set_num_threads(count)
        services.explorer.picture(settings)
        start = time.perf_counter()
        for _ in range(TRIES):
            services.explorer.picture(settings)
        best[count] = time.perf_counter() - start
    fastest = min(best, key=lambda count: best[count])
    torch.set_num_threads(fastest)
    return fastest
