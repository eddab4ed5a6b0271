"""The page in a real browser, before a service that runs: real clicks, keys and files."""

import csv
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from poise.client.playing import sample_path
from poise.motion.files import read
from poise.motion.motion import Motion
from poise.refining.options import Options
from poise.refining.refine import Refining, refine
from poise.serving.running_service import running_service
from poise.serving.service_args import ServiceArgs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

LONG_MS = 60_000
#: Real files of other tools, and a filter that is fast on each.
FILES = {
    "alphapose_halpe26.json": "coco",
    "pose2sim_markers.trc": "trc",
    "coco_keypoint_results.json": "coco",
}
TOKEN = "-".join(["a", "token", "of", "this", "test"])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, cluster: None) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    args = ServiceArgs(model="poise:general", home=str(home), token=TOKEN)
    with running_service(args, port=0) as found:
        yield found


@pytest.fixture(scope="module")
def launch() -> "Iterator[Callable[..., Browser]]":
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    playwright = pytest.importorskip("playwright.sync_api")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as driver:
        yield lambda *flags: driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", *flags]
        )


@pytest.fixture(scope="module")
def browser(launch: "Callable[..., Browser]") -> "Browser":
    return launch("--enable-unsafe-swiftshader")


class Seen:
    """A page of the service, what it said that it should not, and what it fetched elsewhere."""

    def __init__(self, browser: "Browser", url: str, **context: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(LONG_MS)
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._heard)
        self.page.on("request", lambda request: self._asked(request.url, url))
        self.page.goto(url)
        self.page.get_by_role("alert").get_by_text("token").wait_for()
        self.wrong.clear()  # that the browser names what was refused
        self.page.get_by_label("Bearer token").fill(TOKEN)
        self.page.get_by_role("button", name="Keep").click()
        self.page.get_by_role("button", name="Try walking.trc").wait_for()

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.wrong.append(message.text)

    def _asked(self, asked: str, url: str) -> None:
        if not asked.startswith((url, "blob:", url.replace("http", "ws", 1))):
            self.wrong.append(asked)

    def refined(self, act: Any) -> "Page":
        """Do something after which a motion is refined anew, and wait for it."""
        with self.page.expect_response(lambda answer: "/v1/refine" in answer.url):
            act()
        self.page.locator("#status:not(.busy)").get_by_text("refined by").wait_for()
        return self.page


@pytest.fixture
def seen(browser: "Browser", url: str) -> Iterator[Seen]:
    found = Seen(browser, url)
    yield found
    found.context.close()
    assert found.wrong == []


def text(page: "Page", place: str) -> str:
    return page.locator(place).first.text_content() or ""


def shown(page: "Page", what: str) -> str:
    """A figure by what is said under it."""
    return text(page, f"#figures div:has-text('{what}') b")


def stage(page: "Page") -> NDArray[np.int16]:
    content = page.locator("#scene").screenshot()
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int16)


def blue(page: "Page") -> int:
    """Pixels of refined bodies."""
    pixels = stage(page)
    return int((pixels[..., 2] - pixels[..., 0] > 60).sum())


def moved(refining: Refining) -> float:
    [one] = refining.people.values()
    return float(np.nanmean(np.linalg.norm(one.poses_FJD - one.before_FJD, axis=-1)))


def test_a_sample_is_refined_and_looked_at_by_clicks_and_keys(seen: Seen) -> None:
    page = seen.refined(lambda: seen.page.get_by_role("button", name="Try walking.trc").click())
    assert "100 frames, 1 person, 17 joints in 3D (trc)" in text(page, "#status")
    by = refine(read(sample_path()), Options())
    assert shown(page, "moved") == f"{1000 * moved(by):.3g} mm"
    frame = page.get_by_label("frame", exact=True)
    assert frame.input_value() == "0"

    page.locator("#scene").focus()
    for key, expected in (
        ("ArrowRight", "1"), ("Shift+ArrowRight", "11"), ("ArrowLeft", "10"), ("End", "99"),
        ("Home", "0"),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert frame.input_value() == expected, key
    page.keyboard.press("w")
    assert text(page, "#worst button").startswith(f"frame {frame.input_value()} ")
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    page.get_by_role("button", name="Pause").wait_for()
    page.locator("#now", has_text=re.compile(r"frame ([6-9]|\d\d),")).wait_for()
    page.keyboard.press(" ")
    page.get_by_role("button", name="Play").wait_for()

    page.keyboard.press("v")
    assert page.get_by_label("Layout").input_value() == "side"
    page.keyboard.press("3")
    assert page.get_by_label("Camera").input_value() == "side"
    page.get_by_role("button", name="left_wrist", exact=True).click()
    page.get_by_role("heading", name="left_wrist").wait_for()
    page.get_by_role("button", name="left_wrist: go to").click()
    box = page.locator("#timeline").bounding_box()
    assert box is not None
    page.locator("#timeline").click(position={"x": box["width"] - 3, "y": 18})
    page.get_by_role("heading", name="pelvis").wait_for()
    assert frame.input_value() == "99"
    assert blue(page) > 500, "a refined body is on the stage"


def test_options_change_numbers_and_motion(seen: Seen) -> None:
    page = seen.refined(lambda: seen.page.get_by_role("button", name="Try walking.trc").click())
    page.get_by_label("frame", exact=True).fill("40")
    motion = read(sample_path())
    for options, act in (
        (Options(lag=2), lambda: page.locator("[name=lag]").fill("2")),
        (Options(refiner="median"), lambda: page.get_by_label("Refiner").select_option("median")),
        (
            Options(refiner="butterworth"),
            lambda: page.get_by_label("Refiner").select_option("butterworth"),
        ),
        (
            Options(refiner="butterworth", cutoff=3.0),
            lambda: page.locator("[name=cutoff]").fill("3"),
        ),
    ):
        seen.refined(act)
        assert shown(page, "moved") == f"{1000 * moved(refine(motion, options)):.3g} mm"
    assert page.get_by_label("frame", exact=True).input_value() == "40"


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_tool_is_what_the_command_makes_of_it(
    seen: Seen, name: str, tmp_path: Path
) -> None:
    file = Path(os.environ.get("POISE_DATA", "")) / "keypoint_files" / name
    if not file.is_file():
        pytest.skip("POISE_DATA has no keypoint files")
    page = seen.page
    page.get_by_label("Refiner").select_option("butterworth")
    seen.refined(lambda: page.set_input_files("#file", file))
    assert f"({FILES[name]})" in text(page, "#status")
    page.get_by_label("Download as").select_option("csv")
    with page.expect_download() as found:
        page.get_by_role("button", name="Download").click()
    clean = tmp_path / found.value.suggested_filename
    found.value.save_as(clean)
    by = refine(read(file), Options(refiner="butterworth"))
    by.after.write(tmp_path / "command.csv", "csv")
    mine, theirs = (list(csv.reader(one.open())) for one in (clean, tmp_path / "command.csv"))
    assert len(mine) == len(theirs) > 1
    for own, other in zip(mine[1:], theirs[1:], strict=True):
        for a, b in zip(own, other, strict=True):
            assert a == b or abs(float(a) - float(b)) < 1e-5, (own, other)


def test_a_folder_of_frames_and_what_is_no_file(seen: Seen, tmp_path: Path) -> None:
    read(sample_path()).write(tmp_path / "walk.csv")
    page = seen.page
    (tmp_path / "notes.txt").write_text("hello")
    page.set_input_files("#file", tmp_path / "notes.txt")
    page.get_by_role("alert").get_by_text("no keypoint file").wait_for()
    seen.wrong.clear()  # the browser names what was refused
    person = '{"version": 1.3, "people": [{"pose_keypoints_2d": [%s]}]}'
    frames = tmp_path / "frames"
    frames.mkdir()
    for f in range(12):
        places = ", ".join(f"{100 + 3 * j + f}, {90 + 5 * j}, 0.9" for j in range(25))
        (frames / f"{f:03d}_keypoints.json").write_text(person % places)
    seen.refined(lambda: page.set_input_files("#file", sorted(frames.iterdir())))
    assert "12 frames" in text(page, "#status")
    assert "(openpose)" in text(page, "#status")


def test_two_people_of_markers_without_bones(seen: Seen, tmp_path: Path) -> None:
    one = read(sample_path())
    poses = np.concatenate([one.poses_FPJD, one.poses_FPJD + 1.0], axis=1)
    names = tuple(f"M{joint}" for joint in range(17))
    two = Motion(poses_FPJD=poses, joints=names, people=("a", "b"), fps=60.0, unit="m", up="-y")
    two.write(tmp_path / "two.csv")
    page = seen.page
    page.get_by_label("Refiner").select_option("median")
    seen.refined(lambda: page.set_input_files("#file", tmp_path / "two.csv"))
    assert "2 people" in text(page, "#status")
    page.get_by_label("Person").select_option("b")
    pixels = stage(page)
    assert (pixels.min(-1) > 215).mean() > 0.95, "balls, and nothing else"
    assert blue(page) > 50


def test_a_stream_is_shown_while_it_runs(seen: Seen) -> None:
    page = seen.refined(lambda: seen.page.get_by_role("button", name="Try walking.trc").click())
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Start").click()
    page.locator("#live-frames", has_text="100 / 100").wait_for()
    page.locator("#status", has_text="has ended").wait_for()
    assert text(page, "#live-lost") == "0"
    assert text(page, "#live-median").endswith(" ms")
    page.get_by_role("tab", name="Live").focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("tab", name="Refine", selected=True).wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_in_light_and_dark(browser: "Browser", url: str, scheme: str) -> None:
    seen = Seen(browser, url, color_scheme=scheme, has_touch=True)
    page = seen.page
    page.set_viewport_size({"width": 360, "height": 740})
    shifts = """() => { window.shift = 0; new PerformanceObserver((list) => {
      for (const one of list.getEntries()) if (!one.hadRecentInput) window.shift += one.value; })
      .observe({type: "layout-shift", buffered: false}); }"""
    page.evaluate(shifts)
    seen.refined(lambda: page.get_by_role("button", name="Try walking.trc").tap())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 24, 30)")
    assert page.evaluate("window.shift") < 0.1
    seen.context.close()
    assert seen.wrong == []


def test_everything_has_a_name_and_works_without_webgl(
    launch: "Callable[..., Browser]", url: str
) -> None:
    seen = Seen(launch("--disable-3d-apis"), url)
    page = seen.refined(lambda: seen.page.get_by_role("button", name="Try walking.trc").click())
    page.get_by_text("draws no skeletons").wait_for()
    page.keyboard.press("ArrowRight")
    assert page.get_by_label("frame", exact=True).input_value() == "1"
    tree = page.locator("body").aria_snapshot()
    page.get_by_role("tab", name="Live").click()
    tree += page.locator("body").aria_snapshot()
    assert "tab " in tree
    assert "slider " in tree
    assert re.findall(r"- (?:button|combobox|slider|checkbox|img|tab)(?::| \[|$).*", tree) == []


def test_nothing_but_the_page_comes_without_a_token(url: str) -> None:
    for path, status in (
        ("/", 200), ("/docs", 200), ("/static/main.js", 200), ("/static/nothing.js", 404),
        ("/static/../routes.py", 401), ("/static/vendor/three.LICENSE", 404), ("/v1/files", 401),
        ("/v1/samples/walking.trc", 401), ("/openapi.json", 401),
    ):  # fmt: skip
        assert httpx.get(url + path).status_code == status, path
    answer = httpx.get(f"{url}/")
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    again = httpx.get(f"{url}/", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_description_is_drawn_from_here(seen: Seen, url: str) -> None:
    seen.page.goto(f"{url}/docs")
    seen.page.get_by_text("/v1/refine").first.wait_for()
    seen.page.get_by_text("/v1/files").first.wait_for()
