"""``poise convert``: motion capture files to a truth-only track."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from poise.catalog import datasets
from poise.catalog.tracks import Track, catalogue
from poise.lake.ids import SPLITS, Split
from poise.mocap.clip import JOINTS, MotionClip
from poise.mocap.formats.body_model import Bodies
from poise.mocap.formats.markers import read_marker_map
from poise.mocap.recordings import (
    Recording,
    Settings,
    find_recordings,
    find_skeletons,
    read_recording,
)
from poise.readers import layouts
from poise.readers.sequence import PoseSequence
from poise.runtime.errors import DataError

EXAMPLES = """reads, from all folders below FOLDER:
  07_01.amc    Acclaim; needs the subject's skeleton, 07.asf
  12_01.bvh    CMU's database as converted by cgspeed for MotionBuilder, 3dsMax or Daz; the
               first two lack the thorax and need the subject's .asf
  take.c3d     markers; needs --markers
  *_poses.npz  AMASS; needs --body-model

examples:
  poise fetch cmu --subjects 7,35 --to cmu
  poise convert cmu --out data
  python jobs/ingest.py --data data --track cmu/gaussian-10/3D

  poise convert bvh --skeletons cmu --out data --test-subjects 2 7
  poise convert cmu --out data --source-fps 60=60 61=60   where these two were at 60

Writes 17 joints in metres, y up, at --fps, as DATA/poses/cmu_noise_3D: ground truth alone, to
which the denoise tracks (cmu/gaussian-10/3D and others) add noise. Takes of people's own bodies are
named native-..., those on one common skeleton daz-...: report them apart.
Files that cannot be read are named and left out; then the exit code is 1.
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "convert",
        help="motion capture files (AMC, BVH, C3D, AMASS) to a track",
        description="Turn motion capture files into a truth-only track for the denoise task.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("folder", type=Path, metavar="FOLDER", help="where the files are, at any depth")
    option("--out", type=Path, required=True, metavar="DATA", help="data folder to write to")
    option("--dataset", default="cmu", metavar="NAME",
        help="a data set of the catalogue that has noise tracks (cmu)")  # fmt: skip
    option("--fps", type=float, help="rate to write, a whole fraction of the source's "
        "(the data set's: 60 for cmu)")  # fmt: skip
    option("--source-fps", nargs="+", default=[], metavar="[SUBJECT=]FPS",
        help="rate of the files where they do not say or are wrong (AMC: 120)")  # fmt: skip
    split = parser.add_mutually_exclusive_group()
    split.add_argument("--test-subjects", nargs="+", metavar="SUBJECT",
        help="people of the test split; all others train")  # fmt: skip
    split.add_argument("--test-every", type=int, default=4, metavar="N",
        help="every N-th person is tested on, first one first (4)")  # fmt: skip
    option("--skeletons", type=Path, metavar="FOLDER", help="where further .asf files are")
    option("--estimate-thorax", action="store_true",
        help="give native BVH takes without .asf a thorax as long as their upper back "
        "(1 to 12 mm off)")  # fmt: skip
    option("--markers", type=Path, metavar="MAP.toml", help="which C3D markers make which joint")
    option("--body-model", type=Path, metavar="PATH",
        help="for AMASS: a folder of SMPL, SMPL+H or SMPL-X models by gender (SMPL_MALE.pkl, "
        "male/model.npz), or one file for everybody")  # fmt: skip
    option("--overwrite", action="store_true", help="replace the track if DATA has it")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert; return 1 where files were left out."""
    track = _noise_track(args.dataset)
    fps = args.fps or track.info.fps
    if not fps or fps <= 0:
        raise DataError(f"{args.dataset} has no rate of its own: give --fps above zero")
    existing = _existing(args.out, track, args.overwrite)
    recordings = find_recordings(args.folder)
    folders = [args.folder, *([args.skeletons] if args.skeletons else [])]
    work = _Work(find_skeletons(*folders), _settings(args), fps)
    work.convert(recordings)
    if work.left_out:
        print(f"{len(work.left_out)} of {len(recordings)} files were left out:", file=sys.stderr)
        for reason in work.left_out:
            print(f"  {reason}", file=sys.stderr)
    if not work.clips:
        raise DataError(f"{args.folder}: none of {len(recordings)} files could be converted")
    tested = _tested(sorted({clip.subject for clip in work.clips}), args)
    for path in existing:
        path.unlink()  # also the split that may not be written again
    for split in SPLITS:
        _write(args.out, track, split, [c for c in work.clips if _split(c, tested) == split])
    return 1 if work.left_out else 0


def _noise_track(dataset: str) -> Track:
    """Return one of the noise tracks of a data set, all of which share their files."""
    datasets.dataset(dataset)  # says which there are
    for track in catalogue():
        if track.dataset == dataset and track.info.noise and track.info.joints == len(JOINTS):
            return track
    raise DataError(f"{dataset} has no noise tracks of {len(JOINTS)} joints; try another data set")


@dataclass
class _Work:
    skeletons: dict[str, Path]
    settings: Settings
    fps: float
    clips: list[MotionClip] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def convert(self, recordings: Sequence[Recording]) -> None:
        taken: dict[tuple[str, str], Path] = {}
        clock = time.monotonic()
        for count, recording in enumerate(recordings, start=1):
            try:
                clip = self._clip(recording)
                earlier = taken.setdefault((clip.subject, clip.name), recording.file)
                if earlier != recording.file:
                    raise DataError(f"{recording.file}: the same take as {earlier}")
                self.clips.append(clip)
                done = f"{clip.subject}/{clip.name}: {clip.frames} frames"
            except DataError as error:
                self.left_out.append(str(error))
                done = f"{recording.file.name}: left out"
            left = (time.monotonic() - clock) / count * (len(recordings) - count)
            print(f"[{count}/{len(recordings)}, {left:.0f} s left] {done}", flush=True)

    def _clip(self, recording: Recording) -> MotionClip:
        clip = read_recording(recording, self.skeletons, self.settings)
        try:
            return clip.resampled(self.fps)
        except DataError as error:
            raise DataError(f"{recording.file}: {error}") from None


def _settings(args: argparse.Namespace) -> Settings:
    rates: dict[str, float] = {}
    for text in args.source_fps:
        subject, _, rate = text.rpartition("=")
        try:
            rates[_subject(subject)] = float(rate)
        except ValueError:
            raise DataError(f"--source-fps {text}: write 60 or SUBJECT=60") from None
    if any(rate <= 0 for rate in rates.values()):
        raise DataError("--source-fps: rates are above zero")
    markers = read_marker_map(args.markers) if args.markers else None
    bodies = Bodies(args.body_model) if args.body_model else None
    return Settings(rates, markers, bodies, args.estimate_thorax)


def _subject(text: str) -> str:
    return f"S{int(text):02d}" if text.isdigit() else text


def _existing(out: Path, track: Track, overwrite: bool) -> list[Path]:
    splits = [split for split in SPLITS if layouts.split_exists(out, track, split)]
    files = [path for split in splits for path in layouts.locate(out, track, split).present]
    if files and not overwrite:
        raise DataError(f"{files[0]} exists; choose another --out, or replace it with --overwrite")
    return files


def _tested(subjects: list[str], args: argparse.Namespace) -> set[str]:
    if args.test_subjects is None:
        if args.test_every < 2:
            raise DataError(f"--test-every {args.test_every}: at least 2, or nothing is learned")
        return set(subjects[:: args.test_every]) if len(subjects) > 1 else set()
    tested = {_subject(text) for text in args.test_subjects}
    unknown = sorted(tested - set(subjects))
    if unknown:
        raise DataError(f"no takes of {', '.join(unknown)}; there are {', '.join(subjects)}")
    return tested


def _split(clip: MotionClip, tested: set[str]) -> Split:
    return "test" if clip.subject in tested else "train"


def _write(out: Path, track: Track, split: Split, clips: Sequence[MotionClip]) -> None:
    if not clips:
        print(f"{split}: no takes; fewer than two people, or all of them tested on")
        return
    rows = []
    for clip in clips:
        joints_FC = clip.joints_FJ3.reshape(clip.frames, -1)
        name = f"{clip.subject}/{clip.name}"
        rows.append(PoseSequence(name, clip.subject, None, None, clip.fps, joints_FC, joints_FC))
    try:
        (path,) = layouts.write_smoothnet(out, track, split, rows)
    except OSError as error:
        raise DataError(f"{out}: cannot be written to ({error.strerror})") from None
    subjects = sorted({clip.subject for clip in clips})
    frames = sum(clip.frames for clip in clips)
    print(f"{split}: {len(clips)} takes, {frames} frames of {', '.join(subjects)} in {path}")
