"""The parts that tabs are made of, in a real browser, without a server: brush, divider, drop zone."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.ui.i18n import messages
from studio.ui.shell import HEAD
from studio.ui.theme import CSS

STEP = 32  # grey levels between two labels
PAGE = """<!doctype html><html><head><script>window.gradio_config = { i18n_translations: { en: MESSAGES } };</script>
HEAD<style>CSS
  body { margin: 0; } .stage-frame { display: block; width: 400px; height: 200px; aspect-ratio: auto; margin: 0; }</style></head>
<body><div class="stage has-picture" id="box">
  <div class="stage-frame"><div class="stage-sheet"><img class="compare-before" alt=""><img class="compare-after" alt=""></div>
  <div class="compare-divider"><span></span></div></div>
  <div><div class="brush-tools"></div></div></div><input id="a"><div id="other" tabindex="0">x</div>
<script>
  window.told = [];
  window.frame = document.querySelector(".stage-frame");
  window.start = (more = {}) => {
    window.brush = atelier.brush({
      frame, sheet: frame.firstElementChild, tools: document.querySelector(".brush-tools"),
      labels: [{ value: 5, name: "keep", colour: "#3c9d5b" }, { value: 1, name: "one", colour: "#d94f3d" }],
      changed: (file) => told.push(file), failed: (sentence) => { window.sentence = sentence; },
      noted: (sentence) => { window.noted = sentence; }, ...more,
    });
    brush.open(400, 200);
    brush.show(true);
  };
</script></body></html>"""


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 800, "height": 600}, has_touch=True)
    context.set_default_timeout(5000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    text = PAGE.replace("MESSAGES", json.dumps(messages("en"))).replace("HEAD", HEAD)
    page.set_content(text.replace("CSS", CSS.read_text(encoding="utf-8")))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def brush(page: Any) -> Any:
    page.evaluate("start()")
    return page


def label(page: Any, x: float, y: float) -> int:
    """What is painted at a place, both from 0 to 1."""
    return page.evaluate("([x, y]) => brush.labelAt(x, y)", [x, y])


def drag(page: Any, *places: tuple[float, float]) -> None:
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def mask(page: Any, file: str = "brush.file()") -> np.ndarray | None:
    """A mask file's labels [H, W]; None where there is none because nothing is painted."""
    body = page.evaluate(
        f"""async () => {{
        const file = await {file};
        return file && Array.from(new Uint8Array(await file.arrayBuffer()));
        }}"""
    )
    if body is None:
        return None
    grey = np.asarray(Image.open(io.BytesIO(bytes(body))).convert("L"))
    assert set(np.unique(grey)) <= {STEP * i for i in range(8)}
    return grey // STEP


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


UPLOAD = """async (body) => brush.upload(new File([new Uint8Array(body)], "mask.png", { type: "image/png" }))"""


def test_a_stroke_is_a_mask(brush: Any) -> None:
    drag(brush, (100, 100), (300, 100))
    painted = mask(brush)
    assert painted.shape == (200, 400)
    assert (painted[100, 100:300] == 5).all()
    assert set(np.unique(painted)) == {0, 5}
    # A round brush: as far up as down, and no further than its radius to the sides.
    column = np.flatnonzero(painted[:, 200])
    assert abs((column.min() + column.max()) / 2 - 99.5) <= 1
    radius = (column.max() - column.min() + 1) / 2
    row = np.flatnonzero(painted[100])
    assert abs(row.min() - (100 - radius)) <= 1.5 and abs(row.max() - (299 + radius)) <= 1.5


def test_the_page_is_told_once_a_stroke_is_done(brush: Any) -> None:
    drag(brush, (100, 100), (300, 100))
    brush.wait_for_function("told.length === 1")
    assert (mask(brush, "told[0]") == mask(brush)).all()
    brush.click("[data-brush=clear]")
    brush.wait_for_function("told.length === 2")
    assert mask(brush, "told[1]") is None


def test_labels_do_not_mix_at_their_edges(brush: Any) -> None:
    drag(brush, (100, 100), (300, 100))
    brush.click("[data-label='1']")
    drag(brush, (200, 40), (200, 160))
    assert set(np.unique(mask(brush))) == {0, 1, 5}
    assert (label(brush, 0.5, 0.5), label(brush, 0.3, 0.5), label(brush, 0.5, 0.3)) == (1, 5, 1)


def test_erasing_undoing_and_clearing(brush: Any) -> None:
    drag(brush, (100, 100), (300, 100))
    brush.click("[data-brush=erase]")
    drag(brush, (200, 100), (201, 100))
    assert (label(brush, 0.5, 0.5), label(brush, 0.3, 0.5)) == (0, 5)
    brush.click("[data-brush=undo]")
    assert label(brush, 0.5, 0.5) == 5
    brush.click("[data-brush=redo]")
    assert label(brush, 0.5, 0.5) == 0
    brush.click("[data-brush=clear]")
    assert label(brush, 0.3, 0.5) == 0
    assert mask(brush) is None
    assert brush.is_disabled("[data-brush=clear]")
    for _ in range(3):
        brush.click("[data-brush=undo]")
    assert brush.evaluate("brush.empty") and brush.is_disabled("[data-brush=undo]")


def test_inverting(brush: Any) -> None:
    drag(brush, (100, 100), (300, 100))
    brush.click("[data-brush=invert]")
    assert (label(brush, 0.5, 0.5), label(brush, 0.5, 0.05)) == (0, 5)


def test_the_brush_has_a_size(brush: Any) -> None:
    widths = []
    for size, x in ((10, 100), (100, 300)):
        brush.fill(".brush-size input", str(size))
        drag(brush, (x, 100), (x + 1, 100))
        widths.append(int((mask(brush)[:, x] > 0).sum()))
    assert widths[0] < 6
    assert 195 <= widths[1] <= 200  # a quarter of the longest side as radius: 100 px


def test_everything_by_keyboard(brush: Any) -> None:
    brush.focus(".brush-canvas")
    for key in ("ArrowLeft", "ArrowRight", " ", "Shift+ArrowRight", "Shift+ArrowRight", " "):
        brush.keyboard.press(key)
    assert label(brush, 0.5, 0.5) == 5
    right = np.flatnonzero(mask(brush)[100]).max()
    assert right > 230
    brush.keyboard.press("Shift+ArrowRight")  # the brush is lifted
    assert np.flatnonzero(mask(brush)[100]).max() == right
    brush.keyboard.press("2")
    for key in (" ", " "):
        brush.keyboard.press(key)
    assert 1 in mask(brush)
    brush.keyboard.press("Control+z")
    assert 1 not in mask(brush)
    brush.keyboard.press("e")
    assert brush.get_attribute("[data-brush=erase]", "aria-pressed") == "true"
    before = int(brush.input_value(".brush-size input"))
    brush.keyboard.press("]")
    assert int(brush.input_value(".brush-size input")) > before
    brush.keyboard.press("Delete")
    assert brush.evaluate("brush.empty")


def test_what_is_painted_while_zoomed_lies_where_it_was_seen(brush: Any) -> None:
    brush.focus(".brush-canvas")
    for key in ("+", "+"):
        brush.keyboard.press(key)
    assert brush.evaluate("brush.zoom") == 2.25
    drag(brush, (200, 100), (201, 100))  # the middle stays the middle
    place = np.argwhere(mask(brush) > 0).mean(axis=0)
    assert np.abs(place - (99.5, 199.5)).max() < 2
    drag(brush, (10, 10), (11, 10))
    corner = np.argwhere(mask(brush) > 0).min(axis=0)
    assert 40 < corner[0] < 70 and 90 < corner[1] < 130  # (10 - 200) / 2.25 + 200 = 116, less a radius
    brush.keyboard.press("0")
    assert brush.evaluate("brush.zoom") == 1


def test_two_fingers_zoom_and_paint_nothing(brush: Any) -> None:
    client = brush.context.new_cdp_session(brush)
    touch = lambda kind, *points: client.send(
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y, "id": i} for i, x, y in points]}
    )
    touch("touchStart", (0, 180, 100))
    touch("touchStart", (0, 180, 100), (1, 220, 100))
    for by in (20, 40, 60):
        touch("touchMove", (0, 180 - by, 100), (1, 220 + by, 100))
    touch("touchEnd")
    assert brush.evaluate("brush.zoom") == pytest.approx(4, rel=0.05)
    assert brush.evaluate("brush.empty")
    touch("touchStart", (0, 200, 100))
    touch("touchMove", (0, 220, 100))
    touch("touchEnd")
    assert label(brush, 0.5, 0.5) == 5


def test_a_large_picture_has_a_coarser_mask(brush: Any) -> None:
    brush.evaluate("brush.open(8000, 4000)")
    drag(brush, (200, 100), (201, 100))
    assert mask(brush).shape == (1024, 2048)


def test_an_uploaded_mask_is_what_is_light(brush: Any) -> None:
    half = np.zeros((100, 200), np.uint8)
    half[:, 100:] = 255
    brush.evaluate(UPLOAD, list(png(half)))
    painted = mask(brush)
    assert (painted[:, :198] == 0).all() and (painted[:, 202:] == 5).all()
    said = messages("en")["brush.scaled"].replace("{mask}", "200 × 100").replace("{grid}", "400 × 200")
    assert brush.evaluate("noted") == said
    brush.click("[data-brush=undo]")
    assert brush.evaluate("brush.empty")


def test_a_mask_of_another_shape_is_asked_about(brush: Any) -> None:
    white = np.full((100, 100), 255, np.uint8)
    brush.evaluate(UPLOAD, list(png(white)))
    assert "100 × 100 px, the picture 400 × 200" in brush.inner_text(".brush-ask")
    brush.click("[data-brush=cancel]")
    assert brush.is_hidden(".brush-ask") and brush.evaluate("brush.empty")
    brush.evaluate(UPLOAD, list(png(white)))
    brush.click("[data-brush=stretch]")
    assert (mask(brush) == 5).all()


def test_what_is_no_mask_is_said(brush: Any) -> None:
    brush.evaluate(UPLOAD, list(b"no picture"))
    assert brush.evaluate("sentence") == messages("en")["brush.no_picture"].replace("{name}", "mask.png")


def test_a_mask_comes_back_as_it_was(brush: Any) -> None:
    drag(brush, (100, 100), (300, 100))
    brush.click("[data-label='1']")
    drag(brush, (200, 40), (200, 160))
    first = mask(brush)
    brush.evaluate("async () => { window.kept = await brush.file(); }")
    brush.click("[data-brush=clear]")
    brush.wait_for_timeout(400)
    brush.evaluate("told.length = 0")
    brush.evaluate("brush.load(kept)")
    assert (mask(brush) == first).all()
    brush.wait_for_timeout(400)
    assert brush.evaluate("told.length") == 0  # what was given is no news
    brush.evaluate("brush.load(null)")
    assert mask(brush) is None


def test_the_divider_follows_mouse_and_keys(page: Any) -> None:
    page.evaluate("window.divider = atelier.compare(frame, { key: 'test' })")
    at = lambda: page.evaluate("divider.at")
    assert at() == 0
    drag(page, (300, 50), (100, 60))
    assert at() == 25
    page.mouse.move(390, 60)
    assert at() == 25  # the button is up
    assert page.evaluate("document.activeElement.className") == "compare-divider"
    for key, place in (("ArrowRight", 27), ("Shift+ArrowLeft", 17), ("End", 100), ("ArrowRight", 100), ("Home", 0)):
        page.keyboard.press(key)
        assert at() == place
    page.keyboard.press("PageUp")
    assert page.get_attribute(".compare-divider", "aria-valuenow") == "10"
    assert page.get_attribute(".compare-divider", "aria-valuetext") == "10% before"
    box = page.locator(".compare-after").bounding_box()
    clip = page.evaluate("getComputedStyle(document.querySelector('.compare-after')).clipPath")
    assert clip == "inset(0px 0px 0px 10%)" and box["width"] == 400


def test_a_finger_that_scrolls_leaves_the_divider(page: Any) -> None:
    page.evaluate("window.divider = atelier.compare(frame, { key: 'test' })")
    move = """([x0, y0, x1, y1]) => {
      const event = (kind, x, y) => frame.dispatchEvent(new PointerEvent(kind, {
        bubbles: true, clientX: x, clientY: y, pointerType: "touch", pointerId: 1, isPrimary: true }));
      frame.setPointerCapture = () => {};
      event("pointerdown", x0, y0); event("pointermove", x1, y1); event("pointerup", x1, y1);
      return divider.at;
    }"""
    assert page.evaluate(move, [200, 50, 204, 150]) == 0
    assert page.evaluate(move, [200, 50, 240, 60]) == 60


DROP = """([selector, names]) => {
  const data = new DataTransfer();
  for (const name of names) data.items.add(new File([name], name, { type: "image/png" }));
  const fire = (kind, target) => target.dispatchEvent(
    new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
  const target = document.querySelector(selector);
  fire("dragenter", target);
  const lit = document.querySelector("#box").classList.contains("drop");
  fire("dragover", target);
  const unhandled = fire("drop", target);
  return [lit, !unhandled];
}"""


def test_files_are_dropped(page: Any) -> None:
    page.evaluate(
        "atelier.dropzone(document.querySelector('#box'), { taken: (files) => told.push(files.map((f) => f.name)) })"
    )
    assert page.evaluate(DROP, [".compare-divider", ["a.png", "b.png"]]) == [True, True]
    page.wait_for_function("told.length === 1")
    assert page.evaluate("told[0]") == ["a.png", "b.png"]
    assert page.evaluate("document.querySelector('#box').classList.contains('drop')") is False
    # What misses the place is not taken; nor does the browser leave the page for it.
    assert page.evaluate(DROP, ["#other", ["c.png"]]) == [False, True]
    assert page.evaluate("told.length") == 1


def test_a_paste_goes_to_where_the_focus_is(page: Any) -> None:
    page.evaluate(
        """() => {
        atelier.pastezone(document.querySelector("#box"), (files) => told.push("box " + files[0].name));
        atelier.pastezone(document.querySelector("#other"), (files) => told.push("other " + files[0].name));
        window.paste = (...names) => {
          const clipboardData = new DataTransfer();
          for (const name of names) clipboardData.items.add(new File(["x"], name));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, cancelable: true }));
        };
        paste("1.png");
        document.querySelector("#other").focus();
        paste("2.png");
        document.querySelector("#box").hidden = true;
        document.activeElement.blur();
        paste("3.png");
        paste();
        }"""
    )
    assert page.evaluate("told") == ["box 1.png", "other 2.png", "other 3.png"]


def test_a_rectangle_is_filled_and_erased(brush: Any) -> None:
    brush.click("[data-brush=rectangle]")
    drag(brush, (100, 40), (180, 120))
    painted = mask(brush)
    expected = np.zeros((200, 400), int)
    expected[40:120, 100:180] = 5
    assert np.array_equal(painted, expected)
    brush.click("[data-brush=erase]")
    drag(brush, (160, 140), (120, 60))  # from any corner to any other
    expected[60:140, 120:160] = 0
    assert np.array_equal(mask(brush), expected)
    brush.click("[data-brush=undo]")
    assert label(brush, 0.35, 0.45) == 5


def test_a_polygon_closes_at_its_first_corner(brush: Any) -> None:
    brush.click("[data-brush=polygon]")
    corners = [(100, 20), (300, 20), (300, 180)]
    for corner in corners:
        brush.mouse.click(*corner)
    assert mask(brush) is None and brush.is_visible(".brush-sketch")
    brush.mouse.click(*corners[0])
    painted = mask(brush)
    assert not brush.is_visible(".brush-sketch")
    assert (painted > 0).sum() == pytest.approx(200 * 160 / 2, rel=0.02)
    assert (label(brush, 0.7, 0.5), label(brush, 0.3, 0.5)) == (5, 0)
    # Escape gives one up, Backspace a corner, and Enter closes
    for corner in ((20, 20), (60, 20), (60, 60)):
        brush.mouse.click(*corner)
    brush.keyboard.press("Escape")
    assert not brush.is_visible(".brush-sketch") and label(brush, 0.12, 0.2) == 0
    for corner in ((20, 20), (60, 20), (60, 60), (390, 190)):
        brush.mouse.click(*corner)
    brush.keyboard.press("Backspace")
    brush.keyboard.press("Enter")
    assert (label(brush, 0.12, 0.2), label(brush, 0.8, 0.8)) == (5, 0)


def test_shapes_by_keyboard(brush: Any) -> None:
    brush.focus(".brush-canvas")
    for key in ("r", " ", "Shift+ArrowRight", "Shift+ArrowDown", " "):
        brush.keyboard.press(key)
    painted = mask(brush)
    rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
    assert (rows[0], columns[0]) == (100, 200) and (painted > 0).sum() == len(rows) * len(columns) > 50


def test_a_mask_grows_shrinks_and_closes(brush: Any) -> None:
    brush.click("[data-brush=rectangle]")
    drag(brush, (100, 40), (180, 120))
    brush.click("[data-brush=erase]")
    drag(brush, (130, 70), (150, 90))
    brush.click("[data-label='5']")
    brush.click("[data-brush=grow]")
    expected = np.zeros((200, 400), int)
    expected[39:121, 99:181] = 5
    expected[71:89, 131:149] = 0
    assert np.array_equal(mask(brush), expected)
    brush.click("[data-brush=shrink]", modifiers=["Shift"])
    expected[:] = 0
    expected[47:113, 107:173] = 5
    expected[63:97, 123:157] = 0
    assert np.array_equal(mask(brush), expected)
    brush.click("[data-brush=close]")
    expected[63:97, 123:157] = 5
    assert np.array_equal(mask(brush), expected)
    for _ in range(3):
        brush.click("[data-brush=undo]")
    assert (mask(brush) > 0).sum() == 80 * 80 - 20 * 20


def test_what_touches_the_edge_does_not_shrink_from_there(brush: Any) -> None:
    brush.click("[data-brush=invert]")
    brush.click("[data-brush=shrink]")
    assert (mask(brush) == 5).all()


def test_another_label_stays_where_one_grows(brush: Any) -> None:
    brush.click("[data-brush=rectangle]")
    drag(brush, (100, 40), (180, 120))
    brush.click("[data-label='1']")
    drag(brush, (180, 40), (200, 120))
    brush.click("[data-brush=grow]")
    assert [label(brush, x / 400, 0.4) for x in (179.5, 180.5, 200.5, 201.5)] == [5, 1, 1, 0]


def test_a_mask_is_saved_at_the_pictures_size(brush: Any) -> None:
    brush.evaluate("brush.open(4096, 2048)")  # twice the mask's
    brush.click("[data-brush=rectangle]")
    drag(brush, (100, 50), (200, 100))
    with brush.expect_download() as download:
        brush.click("[data-brush=download]")
    saved = np.asarray(Image.open(download.value.path()).convert("L"))
    assert download.value.suggested_filename == "mask.png"
    assert saved.shape == (2048, 4096) and set(np.unique(saved)) == {0, 255}
    rows, columns = np.flatnonzero(saved.any(axis=1)), np.flatnonzero(saved.any(axis=0))
    assert [rows[0], rows[-1] + 1, columns[0], columns[-1] + 1] == [512, 1024, 1024, 2048]


def test_greys_of_a_loaded_mask_are_spoken_of(brush: Any) -> None:
    grey = np.zeros((200, 400), np.uint8)
    grey[:, :100], grey[:, 100:200] = 255, 130
    brush.evaluate("window.noted = ''")
    brush.evaluate(UPLOAD, list(png(grey)))
    assert (label(brush, 0.1, 0.5), label(brush, 0.4, 0.5), label(brush, 0.7, 0.5)) == (5, 5, 0)
    assert brush.evaluate("noted") == messages("en")["brush.greys"].replace("{share}", "25.0")


def test_a_mask_of_one_label_is_black_and_white(page: Any) -> None:
    page.evaluate("start({ labels: [{ value: 7, name: 'fill', colour: '#e0367c' }], white: true, longest: 400 })")
    page.click("[data-brush=rectangle]")
    drag(page, (100, 40), (180, 120))
    body = page.evaluate("(async () => Array.from(new Uint8Array(await (await brush.file()).arrayBuffer())))()")
    grey = np.asarray(Image.open(io.BytesIO(bytes(body))).convert("L"))
    assert set(np.unique(grey)) == {0, 255} and (grey > 0).sum() == 80 * 80
    page.evaluate("brush.load(null)")
    page.evaluate("(body) => brush.load(new Blob([new Uint8Array(body)]))", body)
    assert label(page, 0.35, 0.4) == 7 and page.evaluate("brush.empty") is False
    page.evaluate("window.told = []")
    drag(page, (300, 40), (310, 50))
    page.evaluate("brush.settled()")
    assert page.evaluate("told.length") == 1  # at once, for who is in a hurry
    page.wait_for_timeout(250)
    assert page.evaluate("told.length") == 1
