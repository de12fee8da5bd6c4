"""Serve the page over a folder of models: python -m tests.ui.serve MODELS [--train | --own].

Prints its address; ends with stdin. A process of its own, as for a person:
the page's threads and sockets do not mix with the tests'.
"""

import os
import sys
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import torch

from studio.library import Library
from studio.ui.address import choose_address
from studio.ui.launch import launch
from studio.ui.services import Services
from studio.ui.shell import build

if __name__ == "__main__":
    torch.set_num_threads(1)
    library = Library((Path(sys.argv[1]),))
    if sys.argv[2:] == ["--train"]:
        from train.offer import Offer

        services = Services.on(library, "cpu", trainer=Offer(), paths=True)
        services.jobs.open()
    else:
        services = Services.on(library, "cpu", paths=sys.argv[2:] == ["--own"])
    page = build(services)
    print(launch(page, choose_address(None, None, share=False, auth=None, environ={})), flush=True)
    sys.stdin.read()
    page.close()
    services.close()
