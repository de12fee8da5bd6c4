"""What the restore tab's page may ask for: files taken in, pictures with their fills, damage proposed, work begun."""

import functools
import threading
import time
from typing import Any

from studio.errors import SettingError
from studio.images import open_picture
from studio.masks import encode_mask, read_mask
from studio.provenance import read
from studio.restore import TOOL
from studio.session import SUFFIX
from studio.ui.archives import unpack
from studio.ui.components.live import Answer, Newest, Request, data_url
from studio.ui.components.stage import MAX_BATCH
from studio.ui.desks import Kept, MissingFile, check_desk, finding, safe_path
from studio.ui.handlers.restore_controls import RestoreControls
from studio.ui.handlers.restore_files import layer_facts, open_original, read_mask_of, read_proposal
from studio.ui.handlers.restore_networks import RestoreNetworks, is_network
from studio.ui.handlers.restore_sample import NAME, damaged_photo
from studio.ui.handlers.restore_sessions import Steps, open_steps
from studio.ui.handlers.restore_views import Views
from studio.ui.handlers.restore_work import JOBS, Order, RestoreWork, proposed_mask
from studio.ui.handlers.style import picture_bytes
from studio.ui.services import Services

AUTO = "auto"  # instead of a mask: what looks damaged
UNCONTROLLED = ["network", "enlarger", "work", "at_s", "mask", "layers", "hidden", "proposal", "threshold", "ignored"]


class RestoreHandlers:
    """One for the whole server; safe to call from several threads."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.newest = Newest()
        self.max_bytes = services.desks.limits.file
        self.views = Views(services.desks)
        self._networks = RestoreNetworks(services)
        self._work = RestoreWork(services, self._networks)
        self._sample = functools.cache(damaged_photo)

    @finding
    def draw(self, data: Any) -> Answer:
        """The repaired picture as a JPEG; {"same": True} where the page shows it already. See StageHandlers."""
        start = time.perf_counter()
        request = Request.read(data)
        self.newest.arrive(request)
        controls, desk = RestoreControls.from_dict(request.settings), check_desk(data.get("desk"))
        if not controls.work:
            return {"empty": True}
        before = self.views.before(desk, controls)
        answer: Answer = {} if data.get("has") == before["key"] else {"before": before}
        for name in filter(None, (controls.network, controls.enlarger)):
            self._networks.at_hand(desk, name)
        for name in filter(None, (controls.mask, controls.proposal, *controls.stack)):
            self.services.desks.find(desk, name)
        answer["key"] = self.views.key(controls)
        if data.get("shows") == answer["key"]:
            return answer | {"same": True}
        if self.newest.overtaken(request):
            return {"stale": True}
        answer["picture"] = self.views.after(desk, controls)
        return answer | {"ms": {"total": round(1000 * (time.perf_counter() - start), 2)}}

    def receive(self, data: Any) -> Answer:
        """A piece of a file. To the last one: what it is; of a zip or a session what it holds."""
        return self.services.desks.accept(data, self._accept)

    def look(self, data: Any) -> Answer:
        """What files on the desk are: {"files": [...], "missing": [...]}."""
        missing = self.services.desks.missing(data)["missing"]
        missing = [file for file in missing if not self._is_installed(data["desk"], file)]
        found = [file for file in data["files"] if file not in missing]
        return {"files": [self._info(data["desk"], file) for file in found], "missing": missing}

    @finding
    def start(self, data: Any) -> Answer:
        """Begin a job: see JOBS; a zip of many pictures where there are `files`."""
        controls = RestoreControls.from_dict(Request.read(data).settings)
        desk = check_desk(data.get("desk"))
        job = data.get("job") or "save"
        if job not in JOBS:
            raise SettingError(f"no job named {str(job)[:40]!r}; known: {', '.join(JOBS)}")
        files = read_files(data.get("files")) if job == "save" else []
        if not controls.work and not files:
            raise SettingError("there is no picture; drop one first")
        steps = Steps.read(data.get("states"), controls) if job == "session" else Steps()
        layer = data.get("layer") or ""
        if job == "redo" and layer not in controls.stack:
            raise SettingError("the layer is not in the list; choose one that is")
        order = Order(desk, job, controls, files, steps, layer)
        self._work.check(order)
        return self.services.tasks.start(desk, functools.partial(self._work.run, order))

    def watch(self, data: Any) -> Answer:
        return self.services.tasks.watch(data)

    def stop(self, data: Any) -> Answer:
        return self.services.tasks.stop(data)

    @finding
    def take(self, data: Any) -> Answer:
        return self.services.desks.take(data)

    @finding
    def propose(self, data: Any) -> Answer:
        """What is proposed at a threshold; see Views.proposal."""
        request = Request.read(data)
        return self.views.proposal(check_desk(data.get("desk")), RestoreControls.from_dict(request.settings))

    @finding
    def adopt(self, data: Any) -> Answer:
        """The proposal and what is painted already as a mask on the desk: {id, name, bytes}; {} for none."""
        controls, desk = RestoreControls.from_dict(Request.read(data).settings), check_desk(data.get("desk"))
        picture = open_original(self.services.desks.find(desk, controls.work))
        found = read_proposal(self.services.desks.find(desk, controls.proposal))
        mask = proposed_mask(found, controls, picture)
        mask |= read_mask_of(self.services.desks, desk, controls.mask, picture)
        if not mask.any():
            return {}
        kept = self.services.desks.write(desk, encode_mask(mask), "mask.png")
        return {"id": kept.id, "name": kept.name, "bytes": kept.bytes}

    @finding
    def layers(self, data: Any) -> Answer:
        """What is known of the layers: {"layers": [{id, method, model, area_px, licence}]}."""
        controls, desk = RestoreControls.from_dict(Request.read(data).settings), check_desk(data.get("desk"))
        if not controls.work:
            return {"layers": []}
        made = {name: layer_facts(self.services.desks.find(desk, name)) for name in controls.stack}
        told = ("method", "model", "area_px", "licence")
        values = lambda facts: {key: plain(facts.get(key)) for key in told}
        return {"layers": [{"id": name, **values(facts)} for name, facts in made.items()]}

    def sample(self, data: Any) -> Answer:
        """A damaged picture to try the tab with."""
        return {"picture": data_url("png", self._sample()), "name": NAME}

    def png(self, picture: Any, mask: Any, settings: Any) -> bytes:
        """For scripts: pictures as data URLs or Base64, the mask also AUTO. Raises StudioError."""
        if not isinstance(settings, dict):
            raise SettingError("settings are no names with values; give {} for the defaults")
        # files of a page are the page's own
        files = {"network": "", "work": "", "mask": "", "layers": (), "hidden": (), "proposal": ""}
        controls = RestoreControls.from_dict(settings).replace(format="png", **files)
        original = open_picture(picture_bytes(picture))
        if mask == AUTO:
            where = proposed_mask(self._networks.detecting().suggest(original), controls, original)
        else:
            where = read_mask(picture_bytes(mask), original.size).mask
        return self._work.repaired("", original, where, controls)

    def networks(self, data: Any) -> Answer:
        """Networks installed as files: {"networks": [{name, does}]}."""
        return {"networks": self._networks.installed()}

    def choose(self, data: Any) -> Answer:
        """Use the installed network data["name"]: what `receive` would answer, had the page brought it."""
        desk = check_desk(data.get("desk") if isinstance(data, dict) else None)
        return self._networks.choose(desk, data.get("name"))

    def _is_installed(self, desk: str, file: str) -> bool:
        try:
            return bool(self._networks.at_hand(desk, file))
        except MissingFile:
            return False

    def _info(self, desk: str, file: str) -> Answer:
        kept = self.services.desks.find(desk, file)
        if is_network(kept.name):
            return self._networks.info(kept)
        info = self.services.shelf.info(desk, file)
        if info["kind"] != "picture":
            open_original(kept)  # which says what to do instead
        return info

    def _accept(self, desk: str, kept: Kept, purpose: Any) -> Answer:
        desks = self.services.desks
        name = kept.name.lower()
        if purpose == "mask":
            self.services.shelf.labels(desk, kept.id)
            return {"id": kept.id, "name": kept.name}
        if is_network(name):
            return self._networks.info(kept)
        if purpose == "work" and name.endswith(SUFFIX):
            return open_steps(desks, desk, kept)
        if purpose == "work" and name.endswith(".zip"):
            files, skipped = unpack(desks, desk, kept, MAX_BATCH)
            listed = [{"id": file.id, "name": inner} for file, inner in files]
            return {"id": kept.id, "name": kept.name, "kind": "zip", "files": listed, "skipped": skipped}
        if purpose in ("work", "picture"):
            open_original(kept)
            threading.Thread(target=self._networks.warm, name="warm-restore", daemon=True).start()
        info = self._info(desk, kept.id)
        return info | self._restored(kept) if purpose == "work" else info

    def _restored(self, kept: Kept) -> Answer:
        """The settings inside a picture that was made in this tab."""
        found = read(kept.path)
        if found is None or found.tool != TOOL or "controls" not in found.settings:
            return {}
        return {"settings": RestoreControls.from_dict(found.settings["controls"]).to_dict()}


def read_files(files: Any) -> list[tuple[str, str, str]]:
    """[{id, name, mask?}] from the page as (file, name, mask); names with their folders and fit for a zip."""
    if not isinstance(files, list) or len(files) > MAX_BATCH:
        raise SettingError(f"files is no list of at most {MAX_BATCH} pictures; drop fewer at a time")
    found = []
    for file in files:
        texts = isinstance(file, dict) and all(isinstance(file.get(key, ""), str) for key in ("id", "name", "mask"))
        if not texts:
            raise SettingError("a file in the list has no name; reload the page")
        found.append((file.get("id", ""), safe_path(file.get("name", "")), file.get("mask", "")))
    return found


def plain(value: Any) -> Any:
    """A value of a layer's file as a page may show it."""
    return value if isinstance(value, (int, float)) else str(value or "")[:200]
