"""What the path of a frame's image tells: sequence, subject, camera and action."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

#: gWA_sFM_c01_d27_mWA2_ch21: genre, situation, camera, dancer, music, choreography.
_AIST_CLIP: Final = re.compile(r"(?P<genre>g\w+?)_s\w+?_(?P<camera>c\d+)_(?P<dancer>d\d+)_.*")


@dataclass(frozen=True)
class ImageName:
    """Who, where and what a sequence shows.

    ``subject`` is the sequence itself where the data set names no person: the retrieval rule "never
    from the query's own subject" then still covers everybody in the same video.
    """

    sequence: str
    subject: str
    camera: str | None = None
    action: str | None = None


def parse_imgname(dataset: str, image: str, unknown: str) -> ImageName:
    """Read the image path of a sequence's first frame.

    Args:
        dataset: first part of the track's name; a data set without rules of its own gives the
            folder of the image as sequence and subject.
        image: for example ``S9/Directions/camera55011271/000001.jpg``; may be empty.
        unknown: the sequence's name where the path says nothing.
    """
    parts = [part for part in image.replace("\\", "/").split("/")[:-1] if part not in ("", ".")]
    if not parts:
        return ImageName(unknown, unknown)
    return _RULES.get(dataset, _plain)(parts)


class UniqueNames:
    """Give every sequence of a split its own name: ``walk``, ``walk#2``, ``walk#3`` in file order.

    3DPW stores the two people of a video as two sequences of one name.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._uses: dict[str, int] = {}

    def take(self, name: str) -> str:
        """Return the name, with the first free ``#2``, ``#3``, ... where it was taken before."""
        count = self._uses.get(name, 0) + 1
        unique = name if count == 1 else f"{name}#{count}"
        while unique in self._taken:
            count += 1
            unique = f"{name}#{count}"
        self._uses[name] = count
        self._taken.add(unique)
        return unique


def _plain(parts: list[str]) -> ImageName:
    sequence = "/".join(parts)
    return ImageName(sequence, subject=sequence)


def _subject_first(parts: list[str]) -> ImageName:
    # UI-PRMD S2/m01-deep_squat-correct/rep01; CMU S01/daz-daz_01_08_p0: the action keeps what
    # tells corrected from incorrect movements, and retargeted (daz-) from own (native-) bodies.
    action = parts[1] if len(parts) > 1 else None
    return ImageName("/".join(parts), subject=parts[0], action=action)


def _h36m(parts: list[str]) -> ImageName:
    cameras = [part for part in parts if part.startswith("camera")]
    camera = cameras[0].removeprefix("camera") if cameras else None
    action = parts[1] if len(parts) > 1 and parts[1] not in cameras else None
    return ImageName("/".join(parts), subject=parts[0], camera=camera, action=action)


def _aist(parts: list[str]) -> ImageName:
    sequence = "/".join(parts)
    found = _AIST_CLIP.fullmatch(parts[-1])
    if found is None:
        return ImageName(sequence, subject=sequence)
    return ImageName(sequence, found["dancer"], camera=found["camera"], action=found["genre"])


def _pw3d(parts: list[str]) -> ImageName:
    # downtown_arguing_00: no actor is named, so both people of the video share a subject.
    action, _, take = parts[-1].rpartition("_")
    sequence = "/".join(parts)
    return ImageName(sequence, sequence, action=action if take.isdigit() and action else None)


def _jhmdb(parts: list[str]) -> ImageName:
    sequence = "/".join(parts)
    return ImageName(sequence, subject=sequence, action=parts[-2] if len(parts) > 1 else None)


def _mpiinf3dhp(parts: list[str]) -> ImageName:
    # S1/Seq2/imageSequence/video_4 (train), TS1/imageSequence (test).
    subject = next((p for p in parts if p.lstrip("T").startswith("S") and p[-1].isdigit()), None)
    sequence = "/".join(parts)
    videos = [part for part in parts if part.startswith("video_")]
    camera = videos[0].removeprefix("video_") if videos else None
    return ImageName(sequence, subject=subject or sequence, camera=camera)


_RULES: Final[dict[str, Callable[[list[str]], ImageName]]] = {
    "uiprmd": _subject_first,
    "cmu": _subject_first,
    "synthetic": _subject_first,
    "h36m": _h36m,
    "aist": _aist,
    "pw3d": _pw3d,
    "jhmdb": _jhmdb,
    "mpiinf3dhp": _mpiinf3dhp,
    "mupots": _plain,
}
