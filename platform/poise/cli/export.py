"""``poise export``: a trained network as a file that runs without Poise."""

import argparse
import os
import tempfile
from pathlib import Path

from poise.checkpoints.checkpoint import CARD, ModelCard, load_checkpoint
from poise.runtime.errors import ModelError
from poise.runtime.settings import Settings
from poise.runtime.storage import exists, join
from poise_models import export
from poise_models.base.window_refiner import WindowRefiner

TOLERANCE = 1e-4

SNIPPET = """\
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("OUT.onnx")
T, F = session.get_inputs()[0].shape[1], len(detected)  # detected: (F, C) float32, F >= T
windows = np.stack([detected[n : n + T] for n in range(F - T + 1)])
feed = {"detected": windows, "neighbour": windows, "distance": np.ones(len(windows), "float32")}
poses = session.run(["poses"], {i.name: feed[i.name] for i in session.get_inputs()})[0]
at = np.arange(len(windows))[:, None] + np.arange(T)  # every frame: mean of all its windows
refined, cover = np.zeros_like(detected), np.zeros((F, 1), "float32")
np.add.at(refined, at, poses), np.add.at(cover, at, 1)
refined /= cover
"""

HELP = """examples:
  poise export .poise/sweeps/demo/trials/49b2b5359f6c5ece/checkpoint synspp.onnx
  poise export poise-uiprmd-kinect-3D@champion synspp.onnx
  poise export s3://motion/models/synspp synspp.pt2       a program for torch.export.load

The file holds the network: windows of T frames in, windows out, as many at once as you like.
  detected   (B, T, C)  in the units of the track; C = joints x dims
  neighbour  (B, T, C)  where the network reads the Pose Vector Database: the pose found, moved
  distance   (B,)       into the window's frame, and its squared distance; without retrieval
                        the window itself, and 1. K poses are (B, K, T, C) and (B, K)
  poses      (B, T, C)
  quality    (B, T)     in (0, 1], where the network knows it
Track, window, joints and settings are in the file's metadata (poise.*; .pt2: poise.json).

to refine a sequence with onnxruntime:
{snippet}
Before the file gets its name it is run on random windows and compared with the checkpoint; more
than {tolerance:g} of difference is an error, and nothing is written. ONNX needs
pip install 'poise[onnx]'.
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    indented = "".join(f"  {line}\n" for line in SNIPPET.splitlines())
    parser = commands.add_parser(
        "export",
        help="a trained network as ONNX or as a torch.export program",
        description="Write a checkpoint's network as a file that runs without Poise.",
        epilog=HELP.format(snippet=indented, tolerance=TOLERANCE),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("model", metavar="CHECKPOINT",
        help="a checkpoint's folder or URI, or a registered model: name, name@alias, "
        "name/version")  # fmt: skip
    option("out", type=Path, metavar="OUT", help="file to write: .onnx, or .pt2 for torch.export")
    option("--home", type=Path, help="where the registry is: $POISE_HOME or .poise")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export, verify, tell; return 0."""
    if args.out.suffix not in (".onnx", ".pt2"):
        raise ModelError(f"{args.out}: name a file that ends in .onnx, or in .pt2 for torch.export")
    if not args.out.parent.is_dir():
        raise ModelError(f"{args.out}: there is no folder {args.out.parent}")
    refiner, card = load_checkpoint(_folder(args.model, args.home))
    if not isinstance(refiner, WindowRefiner):
        raise ModelError(
            f"{args.model}: {refiner.title} is no network, there is nothing to export; it runs on "
            "whole sequences, in NumPy and SciPy"
        )
    try:
        difference = _write(refiner, card, args.out)
    except export.ExportError as error:
        raise ModelError(f"{args.model}: {error}") from error
    inputs = export.random_windows(refiner, 1)
    shapes = ", ".join(f"{name} {_shape(value.shape[1:])}" for name, value in inputs.items())
    print(f"{args.out}: {refiner.title} for {card.track}, {args.out.stat().st_size / 1e6:.1f} MB")
    print(f"inputs: {shapes}")
    print(f"largest difference from the checkpoint on random windows: {difference:.1e}")
    return 0


def _shape(sizes: tuple[int, ...]) -> str:
    return f"({', '.join(['B', *map(str, sizes)])})"


def _folder(model: str, home: Path | None) -> str:
    if exists(join(model, CARD)):
        return model
    from poise.checkpoints.registry import resolve

    return resolve(model, Settings.load(home=home).tracking_uri)


def _write(network: WindowRefiner, card: ModelCard, out: Path) -> float:
    write = export.write_onnx if out.suffix == ".onnx" else export.write_program
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as scratch:
        draft = Path(scratch, out.name)
        write(network, draft, {"track": card.track, "seed": str(card.seed)})
        difference = export.largest_difference(network, draft)
        if difference > TOLERANCE:
            raise ModelError(
                f"{out} was not written: what it returns differs from the checkpoint by "
                f"{difference:.1e}, more than {TOLERANCE:g}"
            )
        os.replace(draft, out)
    return difference
