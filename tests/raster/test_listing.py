from pathlib import Path

import pytest

from studio.errors import ImageError
from studio.raster.listing import list_pictures


def test_list_is_in_natural_order_and_leaves_hidden_files_out(tmp_path: Path) -> None:
    names = "007.png 7.png A1.jpg a2.PNG a10.png b/1.webp b/x9/1.tif b/x10/1.tif B3.png 字2.gif 字10.gif".split()
    ignored = [".hidden.png", ".git/a.png", "__MACOSX/a.png", "notes.txt", "b/.DS_Store", "png"]
    for name in sorted(names) + ignored:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [p.relative_to(tmp_path).as_posix() for p in list_pictures(tmp_path)] == names
    with pytest.raises(ImageError, match="there is no folder .*nowhere; check the name"):
        list_pictures(tmp_path / "nowhere")
