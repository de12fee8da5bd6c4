import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from studio.checkpoint import load_network
from studio.hub import Hub, HubError, from_pretrained
from tests.hub_server import HubServer


def test_a_network_from_the_hub(hub: Hub, server: HubServer, tmp_path: Path, save_tiny: Callable[..., Path]) -> None:
    folder = save_tiny(tmp_path / "tiny")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    first = server.add("ann/brush", {**files, "samples.jpg": b"large"})
    z = torch.randn(2, 8)
    expected = load_network(folder).generate(z)
    assert torch.equal(from_pretrained("ann/brush", hub=hub).generate(z), expected)
    assert torch.equal(from_pretrained(folder).generate(z), expected)
    assert server.seen("samples.jpg") == [], "pictures are not needed"
    another = save_tiny(tmp_path / "another", seed=1)
    server.repos["ann/brush"].commit({path.name: path.read_bytes() for path in another.iterdir()})
    assert torch.equal(from_pretrained("ann/brush", first, hub).generate(z), expected)
    assert not torch.equal(from_pretrained("ann/brush", hub=hub).generate(z), expected)


def test_a_repository_of_another_layout(hub: Hub, server: HubServer) -> None:
    server.add("ann/old", {"pytorch_model.bin": b"x"})
    with pytest.raises(HubError, match="^ann/old has no model.json .*; convert it with `python -m studio fetch ann"):
        from_pretrained("ann/old", hub=hub)


def test_what_takes_seconds_is_imported_when_it_is_needed() -> None:
    commands = ", ".join(f"studio.commands.{name}" for name in ("fetch", "push", "cache", "catalogue"))
    slow = ("torch", "huggingface_hub", "httpx", "httpx2", "gradio")
    code = f"import sys, studio.hub, {commands}; print([m for m in {slow} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
