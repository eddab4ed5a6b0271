"""JSON files read piece by piece: the same as read whole, in any blocks, and damage is said."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.motion import format as formats
from poise.motion.files import read
from poise.motion.text.long_json import Piece, pieces, replaced
from poise.runtime.errors import DataError


def coco(frames: int = 40, people: int = 2) -> str:
    """COCO results as people have them: some numbers a line each, names that are no ASCII."""
    rng = np.random.default_rng(0)
    rows = []
    for frame in range(frames):
        for person in range(people):
            numbers = rng.uniform(1, 900, (17, 3)).round(3)
            numbers[:, 2] = 0.75
            row = {"image_id": f"Bj\u00f6rn_{frame}.jpg", "keypoints": numbers.ravel().tolist(),
                   "score": 2.5, "idx": person + 3, "more": {"keypoints": [1, [2]]}}  # fmt: skip
            rows.append(json.dumps(row, indent=[None, 1][frame % 2], ensure_ascii=frame % 3 > 0))
    return f'{{"info": "\u00e9", "images": [1, {{}}],\n "results": [{",".join(rows)} ], "x": []}}\n'


_SCALARS = st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.none(), st.booleans())
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner)
)
_DOCUMENTS = st.lists(_VALUES, max_size=8) | st.dictionaries(st.text(), _VALUES, max_size=5)


def _pieces(text: str, block: int = 2**20) -> Iterator[Piece]:
    return pieces(Path("x.json"), io.StringIO(text, newline=""), block)


@settings(max_examples=50, deadline=None)
@given(_DOCUMENTS, st.sampled_from([None, 1, "\t"]), st.booleans(), st.integers(1, 40))
def test_pieces_are_the_document_in_any_blocks(
    document: list[object] | dict[str, object], indent: int | str | None, plain: bool, block: int
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=plain) + "\r\n"
    found = list(_pieces(text, block))
    assert "".join(piece.before + piece.text for piece in found) == text
    assert all(json.loads(piece.text) == piece.value for piece in found[:-1])
    if isinstance(document, list):
        assert [piece.value for piece in found[:-1]] == document
    else:
        alone = {key: value for key, value in document.items() if not isinstance(value, list)}
        lists = {key: value for key, value in document.items() if isinstance(value, list)}
        assert {piece.key: piece.value for piece in found[:-1] if piece.number < 0} == alone
        for key, value in lists.items():
            assert [one.value for one in found if one.key == key and one.member >= 0] == value


@pytest.mark.parametrize(
    ("kept", "more", "wanted"),
    [
        ("ace", (), '{"n": 1, "l": [ "a" ,\n"c", "e"] }'),
        ("ce", ("8",), '{"n": 1, "l": [ "c", "e", 8] }'),
        ("", ("8", "9"), '{"n": 1, "l": [ 8, 9] }'),
        ("", (), '{"n": 1, "l": [ ] }'),
    ],
)
def test_elements_are_left_out_and_put_behind(
    kept: str, more: tuple[str, ...], wanted: str
) -> None:
    text = '{"n": 1, "l": [ "a", "b" ,\n"c", "d", "e"] }'
    keep = lambda piece: piece.text if piece.value in kept else None  # noqa: E731
    assert "".join(replaced(_pieces(text), 2, keep, more)).replace(" ,\n", ", ") == wanted.replace(
        " ,\n", ", "
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1, 2", "line 1: JSON that ends too early"),
        ("[1,\n 2 3]", "line 2: is no JSON"),
        ('[{"a": 1}, {"b": x}]', "is no JSON"),
        ("[1] [2]", "is no JSON .more behind its end"),
        ('{"a": [1], 2: 3}', "is no JSON .no key"),
        ("[" * 100_000, "nested too deep"),
        ("[" + "1" * 5_000 + "]", "too many digits"),
        ('["' + "a" * (2**24 + 2**21) + '"]', "an entry of more than"),
    ],
)
@pytest.mark.parametrize("block", [5, 2**20])
def test_damage_is_a_line(text: str, says: str, block: int) -> None:
    with pytest.raises(DataError, match=f"x.json.*{says}"):
        list(_pieces(text, block))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_long_files_are_read_and_written_as_short_ones(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "clip.json"
    source.write_bytes(coco().replace("\n", "\r\n").encode(encoding))
    written = []
    for long in (2**24, 0):
        monkeypatch.setattr(formats, "_LONG", long)
        motion = read(source)
        assert motion.format == "coco"
        same = motion.write(tmp_path / f"same{long}.json").read_bytes()
        assert same == source.read_bytes()
        poses = motion.poses_FPJD.copy()
        poses[1::2] += 0.25
        written.append(motion.with_poses(poses).write(tmp_path / f"{long}.json").read_bytes())
        np.testing.assert_allclose(read(tmp_path / f"{long}.json").poses_FPJD, poses)
    assert written[0] == written[1] != source.read_bytes()


def test_a_long_file_that_changes_meanwhile_is_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "_LONG", 0)
    source = tmp_path / "clip.json"
    source.write_bytes(coco().encode())
    motion = read(source)
    source.write_bytes(coco().encode() + b"\n")
    with pytest.raises(DataError, match=r"clip\.json: was changed since it was read"):
        motion.write(tmp_path / "out.json")
    assert {file.name for file in tmp_path.iterdir()} == {"clip.json"}
    motion = read(source)
    motion.write(source)
    assert len(read(source)) == len(motion)


@pytest.mark.parametrize(
    ("begins", "again", "says"),
    [
        (b'[{"image_id": 1, "keypoints": [1, 2, 0.5]}', b', {"image_id": 1, "keypoints": [0,0,0]}',
         "more than 4,194,304 entries.*cut it into takes"),
        (b'[{"image_id": 1, "keypoints": [1, 2, 0.5]}', b', 1', "entry 1: .* no list"),
        (b'[1', b', 1', "cut it into takes"),
        (b'{"x": [1', b', 1', "cut it into takes"),
        (b'[{"image_id": 1, "keypoints": [1', b', 1', "cut it into takes"),
    ],
)  # fmt: skip
def test_hostile_long_files_are_refused(
    begins: bytes, again: bytes, says: str, tmp_path: Path
) -> None:
    file = tmp_path / "clip.json"
    with file.open("wb") as stream:
        stream.write(begins + again * 2**21)
        stream.truncate(400 * 2**20)  # zeros, which no disk holds
    with pytest.raises(DataError, match=says):
        read(file)
