"""`poise fetch` against a site on loopback that stalls, cuts, refuses and changes its files."""

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.fetch_server import Faults, Site, serving

from poise.mocap.download.checksums import Checksums
from poise.mocap.download.cmu import CmuFiles, DownloadReport, fetch_cmu, parse_subjects
from poise.mocap.download.http import Downloader, FetchError, Patience, UnreachableError
from poise.runtime.errors import BusyError

QUICK = Patience(connect_s=2.0, stall_s=0.3, tries=3, pause_s=0.01)
PIECE = 8192
ASF = "/subjects/07/07.asf"
TAKE = "/subjects/07/07_01.amc"


@pytest.fixture
def site() -> Iterator[Site]:
    files = {ASF: b":version 1.10\n" + b"bone\n" * 500}
    for take in ("07_01", "07_02", "07_05"):
        files[f"/subjects/07/{take}.amc"] = (f"#!OML {take}\n" + "lfemur 1 2 3\n" * 20000).encode()
    with serving(Site(files)) as running:
        yield running


def start_of(asked: str | None) -> int:
    return int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0


def fetch(site: Site, folder: Path, jobs: int = 2) -> DownloadReport:
    return fetch_cmu(CmuFiles([7], folder, site.url), quiet, jobs, QUICK)


def quiet(line: str) -> None:
    pass


def assert_whole(site: Site, folder: Path) -> None:
    for path, content in site.files.items():
        assert (folder / path.removeprefix("/subjects/")).read_bytes() == content
    assert not list(folder.rglob("*.part*"))


def test_fetches_skeleton_and_all_listed_takes(site: Site, tmp_path: Path) -> None:
    lines: list[str] = []
    outcome = fetch_cmu(CmuFiles([7], tmp_path, site.url), lines.append, patience=QUICK)
    assert sorted(outcome.fetched) == ["07/07.asf", "07/07_01.amc", "07/07_02.amc", "07/07_05.amc"]
    assert outcome.kept == outcome.failed == []
    assert_whole(site, tmp_path)
    assert len(lines) == 4
    assert "4/4" in lines[-1]
    assert "s left" in lines[-1]


def test_writes_sums_that_the_common_tool_would_accept(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path)
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert lines == sorted(lines, key=lambda line: line[66:])
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
    assert len(lines) == 4


def test_second_run_asks_for_no_file(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path)
    site.requests.clear()
    outcome = fetch(site, tmp_path)
    assert len(outcome.kept) == 4
    assert [path for path, _ in site.requests] == ["/search.php?subjectnumber=7"]


@pytest.mark.parametrize("damage", ["changed", "cut short", "deleted"])
def test_damaged_file_is_fetched_again_alone(site: Site, tmp_path: Path, damage: str) -> None:
    fetch(site, tmp_path)
    file = tmp_path / "07/07_02.amc"
    if damage == "deleted":
        file.unlink()
    else:
        content = file.read_bytes()
        file.write_bytes(b"X" + content[1:] if damage == "changed" else content[:-10])
    outcome = fetch(site, tmp_path)
    assert outcome.fetched == ["07/07_02.amc"]
    assert len(outcome.kept) == 3
    assert_whole(site, tmp_path)


def test_cut_connection_is_resumed_where_it_was_cut(site: Site, tmp_path: Path) -> None:
    site.faults.cuts[TAKE] = [100_000, 50_000]
    outcome = fetch(site, tmp_path, jobs=1)
    assert outcome.failed == []
    assert_whole(site, tmp_path)
    first, second, third = (start_of(asked) for asked in site.asked(TAKE))
    assert first == 0
    assert 100_000 - PIECE < second <= 100_000
    assert second + 50_000 - PIECE < third <= second + 50_000


def test_list_that_was_cut_is_asked_for_again(site: Site, tmp_path: Path) -> None:
    page = "/search.php?subjectnumber=7"
    site.files = {ASF: site.files[ASF], TAKE: site.files[TAKE], page: b"07_01.amc " * 1000}
    site.faults = Faults(cuts={page: [100]}, lists=False)
    assert len(fetch(site, tmp_path, jobs=1).fetched) == 2
    assert site.asked(page) == [None, None]
    assert site.asked("/subjects/07/07_02.amc") == []


def test_more_cuts_than_tries_are_borne_while_something_arrives(site: Site, tmp_path: Path) -> None:
    site.faults.cuts[TAKE] = [20_000] * 10
    assert fetch(site, tmp_path, jobs=1).failed == []
    assert_whole(site, tmp_path)


def test_server_without_ranges_is_asked_from_the_start(site: Site, tmp_path: Path) -> None:
    site.faults.ranges = False
    site.faults.cuts[TAKE] = [100_000, 200_000]
    assert fetch(site, tmp_path, jobs=1).failed == []
    assert_whole(site, tmp_path)


def test_stall_is_cut_off_and_resumed(site: Site, tmp_path: Path) -> None:
    site.faults = Faults(stalls={TAKE: [65_536]}, stall_s=30.0)
    clock = time.monotonic()
    assert fetch(site, tmp_path, jobs=1).failed == []
    assert time.monotonic() - clock < 20  # it did not wait for the server
    assert start_of(site.asked(TAKE)[1]) == 65_536
    assert_whole(site, tmp_path)


def test_next_run_goes_on_from_the_part_the_last_one_left(site: Site, tmp_path: Path) -> None:
    site.faults.cuts[TAKE] = [100_000, 0, 0, 0]
    outcome = fetch(site, tmp_path, jobs=1)
    assert len(outcome.failed) == 1
    assert "07_01.amc" in outcome.failed[0]
    assert "07/07_02.amc" in outcome.fetched
    assert not (tmp_path / "07/07_01.amc").exists()
    site.requests.clear()
    assert fetch(site, tmp_path, jobs=1).fetched == ["07/07_01.amc"]
    (start,) = (start_of(asked) for asked in site.asked(TAKE))
    assert 100_000 - PIECE < start <= 100_000
    assert_whole(site, tmp_path)


def test_file_that_changed_on_the_site_is_not_patched_together(site: Site, tmp_path: Path) -> None:
    site.faults.cuts[TAKE] = [100_000, 0, 0, 0]
    fetch(site, tmp_path, jobs=1)
    site.files[TAKE] = site.files[TAKE].replace(b"lfemur", b"rfemur")
    assert fetch(site, tmp_path, jobs=1).fetched == ["07/07_01.amc"]
    assert_whole(site, tmp_path)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_busy_server_is_asked_again(site: Site, tmp_path: Path, status: int) -> None:
    site.faults.errors[TAKE] = [status, status]
    assert fetch(site, tmp_path).failed == []
    assert_whole(site, tmp_path)


def test_file_that_keeps_failing_leaves_the_others(site: Site, tmp_path: Path) -> None:
    site.faults.errors[TAKE] = [500] * 9
    outcome = fetch(site, tmp_path)
    (reason,) = outcome.failed
    assert "07_01.amc" in reason
    assert "500" in reason
    assert len(outcome.fetched) == 3


def test_numbers_are_tried_where_the_site_has_no_list(site: Site, tmp_path: Path) -> None:
    site.faults.lists = False
    outcome = fetch(site, tmp_path)
    assert outcome.failed == []
    assert_whole(site, tmp_path)
    # 05 is found over the gap of 03 and 04, 06 to 08 end the search.
    assert site.asked("/subjects/07/07_08.amc") == [None]
    assert site.asked("/subjects/07/07_09.amc") == []


def test_unknown_subject_is_named_and_others_come(site: Site, tmp_path: Path) -> None:
    outcome = fetch_cmu(CmuFiles([7, 88], tmp_path, site.url), quiet, patience=QUICK)
    (reason,) = outcome.failed
    assert "88.asf" in reason
    assert "404" in reason
    assert len(outcome.fetched) == 4


def test_web_page_in_place_of_a_file_is_refused(site: Site, tmp_path: Path) -> None:
    site.faults.web_pages = True
    outcome = fetch(site, tmp_path)
    assert len(outcome.failed) == 4
    assert "web page" in outcome.failed[0]
    assert not list(tmp_path.rglob("*.amc"))


def test_skeletons_only(site: Site, tmp_path: Path) -> None:
    outcome = fetch_cmu(
        CmuFiles([7], tmp_path, site.url, skeletons_only=True), quiet, patience=QUICK
    )
    assert outcome.fetched == ["07/07.asf"]


def test_offline_says_what_to_do_at_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=r"refused.*network.*--base-url"):
            fetch_cmu(CmuFiles([7], tmp_path, url), quiet, patience=QUICK)


def test_site_that_goes_away_in_the_middle_ends_the_run(site: Site, tmp_path: Path) -> None:
    site.faults.cuts = {path: [-1] * 9 for path in site.files}
    outcome = fetch(site, tmp_path)
    assert len(outcome.failed) == 4
    assert not list(tmp_path.rglob("*.amc"))


def test_two_fetches_do_not_write_to_one_folder(site: Site, tmp_path: Path) -> None:
    refused: list[str] = []

    def again(_: str) -> None:
        with pytest.raises(BusyError, match="another fetch") as caught:
            fetch(site, tmp_path)
        refused.append(str(caught.value))

    fetch_cmu(CmuFiles([7], tmp_path, site.url), again, 1, QUICK)
    assert len(refused) == 4
    assert_whole(site, tmp_path)


@pytest.mark.chaos
def test_killed_fetch_is_taken_up_by_the_next(site: Site, tmp_path: Path) -> None:
    site.faults = Faults(stalls={TAKE: [100_000]}, stall_s=20.0)
    code = (
        "import sys; from pathlib import Path; "
        "from poise.mocap.download.cmu import CmuFiles, fetch_cmu; "
        "fetch_cmu(CmuFiles([7], Path(sys.argv[1]), sys.argv[2]), print, jobs=1)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path), site.url]
    with subprocess.Popen(command, env=environment) as process:
        part = tmp_path / "07/07_01.amc.part"
        deadline = time.monotonic() + 30
        while not (part.is_file() and part.stat().st_size >= 100_000 - PIECE):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    site.requests.clear()
    outcome = fetch(site, tmp_path)
    assert outcome.kept == ["07/07.asf"]
    assert len(outcome.fetched) == 3
    (start,) = (start_of(asked) for asked in site.asked(TAKE))
    assert start > 100_000 - PIECE
    assert_whole(site, tmp_path)


def test_full_or_forbidden_disk_is_said(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="cannot be written to"):
        fetch(site, tmp_path / "file" / "folder")


def test_stopped_downloader_gives_up(site: Site, tmp_path: Path) -> None:
    downloader = Downloader(QUICK, lambda size: None)
    downloader.stop()
    with pytest.raises(FetchError, match="interrupted"):
        downloader.file(site.url + TAKE, tmp_path / "take.amc")


@pytest.mark.parametrize(
    ("text", "expected"), [("01,02", [1, 2]), ("7-9,3", [3, 7, 8, 9]), (" 144 ", [144])]
)
def test_subject_lists(text: str, expected: list[int]) -> None:
    assert parse_subjects(text) == expected


@pytest.mark.parametrize(
    "text", ["", "x", "1,,2", "0", "-3", "9-7", "1;2", "²", "٣", "1-99999999999", "9" * 5000]
)
def test_wrong_subject_lists(text: str) -> None:
    with pytest.raises(FetchError):
        parse_subjects(text)


def test_damaged_sums_count_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text("garbage\n" + "0" * 64 + "  there\n")
    (tmp_path / "there").write_bytes(b"content")
    sums = Checksums(tmp_path / "SHA256SUMS")
    assert sums.holds("there") is False
    assert sums.holds("garbage") is None
    sums.note("there", hashlib.sha256(b"content").hexdigest())
    assert Checksums(tmp_path / "SHA256SUMS").holds("there") is True
