"""A visitor's side of the page, without a browser: files sent in pieces, requests of the stage."""

import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from tests.tiny_style import blobs

PIECE = 1 << 16
SECRET = "a1" * 16


class Visitor:
    """Sends files to `handlers` and asks them for pictures, as stage.js does."""

    def __init__(self, handlers: Any, desk: str = SECRET) -> None:
        self.handlers, self.desk, self.n = handlers, desk, 0

    def send(self, content: bytes, name: str = "photo.png", purpose: str = "work") -> dict[str, Any]:
        """What the server answers to the last piece."""
        answer: dict[str, Any] = {}
        self.n += 1
        for offset in range(0, len(content), PIECE):
            texts = {"desk": self.desk, "upload": f"{self.n:032x}", "name": name, "purpose": purpose}
            texts |= {"size": str(len(content)), "offset": str(offset)}
            files = [("piece", content[offset : offset + PIECE])]
            answer = self.handlers.receive(SimpleNamespace(data=texts, files=files))
        return answer

    def ask(self, **settings: Any) -> dict[str, Any]:
        self.n += 1
        return {"page": "c" * 32, "n": self.n, "desk": self.desk, "settings": settings}

    def draw(self, has: str = "", **settings: Any) -> dict[str, Any]:
        return self.handlers.draw({**self.ask(**settings), "has": has})

    def start(self, files: list[dict[str, str]] | None = None, **settings: Any) -> dict[str, Any]:
        return self.handlers.start({**self.ask(**settings), "files": files or []})

    def take(self, file: dict[str, Any]) -> bytes:
        parts = b""
        while len(parts) < file["bytes"]:
            answer = self.handlers.take({"desk": self.desk, "file": file["id"], "offset": len(parts)})
            parts += base64.b64decode(answer["piece"])
        return parts


def opened(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def png(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def photo(height: int = 60, width: int = 80, seed: int = 1) -> bytes:
    return png(blobs(height, width, seed))


def save_film(path: Path, frames: int = 10, fps: int = 10) -> Path:
    """A film of `frames` frames of 64 x 48 px, each of one grey: 10, 30, 50 ..."""
    import av

    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=fps, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 + 20 * i, np.uint8), format="rgb24")
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path
