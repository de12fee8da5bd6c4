"""What the restore tab shows, small enough for a page: a picture before and after its repair, what was suggested."""

import dataclasses

import numpy as np
from PIL import Image

from studio.images import encode
from studio.layers import Treatment
from studio.raster.opening import Picture
from studio.recent import Recent
from studio.suggestion import Suggestion
from studio.tratteggio import drawn_in_strokes
from studio.ui.components.live import Answer, data_url
from studio.ui.desks import Desks
from studio.ui.handlers.restore_controls import RestoreControls
from studio.ui.handlers.restore_files import open_original, pooled, read_proposal, treatment_of
from studio.ui.shelf import jpeg_url, shrunk

SHOWN_PX = 2048  # longest side of what a page shows: cracks have to be seen
OVERLAY_PX = 1024  # longest side at which proposals are reckoned while a slider moves
REMEMBERED = 24  # pictures for pages, of about a megabyte each
COLOURS = {"crack": (217, 79, 61), "loss": (47, 127, 209), "stain": (224, 165, 38), "fold": (122, 79, 192)}
OTHER = (60, 157, 91)  # of kinds that are not known here


class Views:
    """One for the whole server; safe to call from several threads. Raises MissingFile, ImageError."""

    def __init__(self, desks: Desks) -> None:
        self.desks = desks
        self._pages: Recent[Answer] = Recent(REMEMBERED)
        self._proposals: Recent[Suggestion] = Recent(REMEMBERED)

    def before(self, desk: str, controls: RestoreControls) -> Answer:
        """The picture as it came: {key, name, kind, width, height, seconds, bits, reread, picture}."""
        kept = self.desks.find(desk, controls.work)

        def make() -> Answer:
            picture = open_original(kept)
            width, height = picture.size
            facts = {"key": kept.id, "name": kept.name, "kind": "picture", "width": width, "height": height}
            facts |= {"seconds": 0, "bits": 8 * picture.pixels.itemsize, "reread": bool(picture.read_as)}
            return {**facts, "picture": jpeg_url(shrunk(picture.rgb(), SHOWN_PX))}

        return self._pages.get((desk, kept.id), make)

    def after(self, desk: str, controls: RestoreControls) -> str:
        """The picture with its layers, as a data URL; `before` is known to be made of the same file."""
        shown = [name for name in controls.stack if name not in controls.hidden]
        if not shown:
            return self.before(desk, controls)["picture"]
        for name in shown:
            self.desks.find(desk, name)  # a layer that has gone is asked for, though its view may be remembered

        def make() -> Answer:
            result = flattened(treatment_of(self.desks, desk, controls), controls)
            return {"picture": jpeg_url(shrunk(result.rgb(), SHOWN_PX))}

        return self._pages.get((desk, controls.work, tuple(shown), controls.strokes), make)["picture"]

    def key(self, controls: RestoreControls) -> str:
        """Tells two of `after` apart."""
        shown = [name for name in controls.stack if name not in controls.hidden]
        return ".".join([controls.work, controls.strokes, *shown]) if shown else controls.work

    def proposal(self, desk: str, controls: RestoreControls) -> Answer:
        """What is proposed: {picture: an overlay as a data URL, kinds: [{name, regions, confidence, colour, on}]}."""
        kept = self.desks.find(desk, controls.proposal)

        def make() -> Suggestion:
            whole = read_proposal(kept)
            step = -(-max(whole.levels.shape[1:]) // OVERLAY_PX)
            return dataclasses.replace(whole, levels=pooled(whole.levels, step))

        small = self._proposals.get((desk, kept.id), make)
        found = {kind.name: kind for kind in small.found(controls.threshold)}
        overlay = np.zeros((*small.levels.shape[1:], 4), np.uint8)
        kinds = []
        for name in small.classes:
            colour, on = COLOURS.get(name, OTHER), name not in controls.ignored
            if on and name in found:
                overlay[small.where(name, controls.threshold)] = (*colour, 255)
            kind = found.get(name)
            regions, confidence = (kind.regions, round(kind.confidence, 2)) if kind else (0, 0)
            facts = {"name": name, "regions": regions, "confidence": confidence, "on": on}
            kinds.append({**facts, "colour": "#%02x%02x%02x" % colour})
        picture = data_url("png", encode(Image.fromarray(overlay), "PNG"))
        return {"picture": picture, "kinds": kinds}


def flattened(treatment: Treatment, controls: RestoreControls) -> Picture:
    """The finished picture: the fills as they are, or in visible strokes."""
    if controls.strokes == "no":
        return treatment.flatten()
    return treatment.flatten(lambda layer: drawn_in_strokes(layer, treatment.original))
