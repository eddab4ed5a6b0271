"""Text files: encodings, byte order marks, line ends; and that nobody reads text another way."""

import re
from pathlib import Path

import pytest

import poise
from poise.runtime.errors import DataError
from poise.runtime.text.files import read_text

TEXT = 'name = "Zoë 山田"\nfps = 25\n'


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_the_same_in_every_encoding_and_with_every_line_end(
    tmp_path: Path, encoding: str, end: str
) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(TEXT.replace("\n", end).encode(encoding))
    assert read_text(file) == TEXT


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_byte_order_marks_given_twice_are_no_content(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(f"\ufeff\ufeff{TEXT}".encode(encoding))
    assert read_text(file) == TEXT


@pytest.mark.parametrize("end", ["\0", "\x1a", "\0\0\0", "\r\n\x1a"])
def test_nul_and_dos_end_of_file_at_the_end_are_no_content(tmp_path: Path, end: str) -> None:
    file = tmp_path / "a.bvh"
    file.write_bytes((TEXT + end).encode())
    assert read_text(file).rstrip() == TEXT.rstrip()


def test_other_encodings_are_refused_with_what_to_do_or_taken_byte_by_byte(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes("fps = 25\nname = 'Zoë'\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.toml, line 2: is no UTF-8 text; save the file as"):
        read_text(file)
    assert read_text(file, otherwise="latin-1") == "fps = 25\nname = 'Zoë'\n"


def test_half_a_utf_16_character_is_no_latin_1(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(TEXT.encode("utf-16")[:-1])
    with pytest.raises(DataError, match="save the file as UTF-8"):
        read_text(file, otherwise="latin-1")


def test_a_folder_in_place_of_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no file"):
        read_text(tmp_path)


def test_nobody_reads_text_in_another_way() -> None:
    root = Path(poise.__file__ or "").parent
    #: Poise's own files, those of MLflow, Ray and torch, and the kernel's.
    own = {
        "catalog/datasets.py",
        "catalog/joint_sets.py",
        "catalog/published.py",
        "doctor/cluster_file.py",
        "doctor/gpu.py",
        "doctor/machine.py",
        "doctor/packages.py",
        "doctor/tracking.py",
        "mocap/download/http.py",
        "mocap/people.py",
        "mocap/skeleton_map.py",
        "experiments/tracking/pages.py",
        "runtime/machine.py",
        "runtime/page/template.py",
    }
    other = {
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        if re.search(r"\.read_text\(|\bopen\([^)]*\"rt?\"|tomllib\.load\(", file.read_text("utf-8"))
    }
    assert other == own
