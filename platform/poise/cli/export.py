"""``poise export``: a trained network as a file that runs without Poise."""

from pathlib import Path
from typing import Annotated

import typer

from poise.cli.shared.options import ModelArgument, with_settings
from poise.cli.shared.output import say
from poise.runtime.settings import Settings

SNIPPET = """\
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("OUT.onnx")
F, T = len(detected), session.get_inputs()[0].shape[1]
# detected: (F, C) float32, F >= T
windows = np.stack([detected[n : n + T] for n in range(F - T + 1)])
feed = {"detected": windows, "neighbour": windows}
feed |= {"distance": np.ones(len(windows), "float32")}
feed = {i.name: feed[i.name] for i in session.get_inputs()}
poses = session.run(["poses"], feed)[0]
# every frame: mean of all its windows
at = np.arange(len(windows))[:, None] + np.arange(T)
refined, cover = np.zeros_like(detected), np.zeros((F, 1), "float32")
np.add.at(refined, at, poses), np.add.at(cover, at, 1)
refined /= cover
"""

EXAMPLES = """
examples:
  poise export .poise/sweeps/demo/trials/KEY/checkpoint synspp.onnx
  poise export poise-uiprmd-kinect-3D@champion synspp.onnx
  poise export s3://motion/models/synspp net.pt2    a program of torch.export

The file holds the network: windows of T frames in, windows out, as many at
once as you like.
  detected   (B, T, C)  in the units of the track; C = joints x dims
  neighbour  (B, T, C)  where the network reads the Pose Vector Database: the
  distance   (B,)       pose found, moved into the window's frame, and its
                        squared distance; without retrieval the window itself,
                        and 1. K poses are (B, K, T, C) and (B, K)
  poses      (B, T, C)
  quality    (B, T)     in (0, 1], where the network knows it
Track, window, joints and settings are in the file's metadata (poise.*; .pt2:
poise.json).

to refine a sequence with onnxruntime:
{snippet}
Before the file gets its name it is run on random windows and compared with
the checkpoint; more than 0.0001 of difference is an error, and nothing is
written. ONNX needs pip install 'poise[onnx]'.

Hand .onnx around: it is data alone. Opening a .pt2 runs code that whoever made
it put there, as opening any pickle does: never load one from a stranger.
""".format(snippet="".join(f"  {line}\n" for line in SNIPPET.splitlines()))


@with_settings("home", "tracking_uri")
def export(
    settings: Settings,
    model: ModelArgument,
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="file to write: .onnx, or .pt2 for torch.export"),
    ],
) -> None:
    """Write a trained network as ONNX or as a torch.export program."""
    from poise.checkpoints.export import export_network

    done = export_network(model, out, settings.tracking_uri)
    shapes = ", ".join(
        f"{name} ({', '.join(['B', *map(str, shape)])})" for name, shape in done.inputs.items()
    )
    say(f"{out}: {done.title} for {done.track}, {out.stat().st_size / 1e6:.1f} MB")
    print(f"inputs: {shapes}")
    print(f"largest difference from the checkpoint on random windows: {done.difference:.1e}")
