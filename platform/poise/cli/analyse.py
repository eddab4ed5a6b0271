"""``poise analyse``: a look into a trained SynSP++, and at the errors that it is given."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from poise.cli.shared.commands import add, group
from poise.cli.shared.options import MODEL, Json, Model, with_settings
from poise.cli.shared.output import say, write_json
from poise.runtime.settings import Settings

if TYPE_CHECKING:
    from poise.analysis.result import AnalysisResult

EXAMPLES = """
examples:
  poise analyse quality --model poise-uiprmd-kinect-3D --plot quality.png
  poise analyse neighbours --model .poise/sweeps/demo/trials/KEY/checkpoint \\
      --json rows.json
  poise sweep --plan figure1a-uiprmd --data my_data
  poise analyse ratio .poise/sweeps/figure1a-uiprmd
  poise analyse latency --model poise-uiprmd-kinect-3D@champion --fps 12 \\
      --threads 1
  poise analyse errors --data my_data --track uiprmd/kinect/3D
  poise analyse real --data my_data --track uiprmd/kinect/3D \\
      --model poise:general
  poise analyse live --model poise-uiprmd-kinect-3D --plot live.png
  poise analyse simulated --data my_data --model poise:general
  poise analyse uncertainty --data my_data --model poise:general

--model of the first four wants a SynSP++ with retrieval. Data are the test
split in the lake (by default the one it was trained on), and the PVD's poses there; no Milvus
has to run. docs/analysis.md says what is measured, and what came out.
"""
QUALITY = """
example:
  poise analyse quality --model poise-uiprmd-kinect-3D --plot quality.png

Of every frame, all in the track's reported unit, poses relative to their
roots as in MPJPE:
  input error    mean joint distance of the detected pose to the truth (Diff1)
  disagreement   mean joint distance of the two branches' poses (Diff2)
  quality        the pose quality encoding, averaged back to a sequence
  output error   mean joint distance of the refined pose to the truth

An indicator that works has a positive correlation of disagreement and error,
and a negative one of quality and error.
"""
NEIGHBOURS = """
example:
  poise analyse neighbours --model poise-uiprmd-kinect-3D --from 0 1 2

Table VIII: what SynSP++ makes of neighbours that are nearer, farther, or of
no relevance.
"""
RATIO = """
example:
  poise sweep --plan figure1a-uiprmd --data my_data
  poise analyse ratio .poise/sweeps/figure1a-uiprmd --plot ratio.png

Fig. 1(a): precision against smoothness over the ratio of their losses.
"""
LATENCY = """
example:
  poise analyse latency --model poise-uiprmd-kinect-3D@champion --fps 12 \\
      --threads 1

Table IX: where the time goes between a frame and its refined pose. The wait
is no computation: a window is refined when its last frame is there, so its
first frame waits for as many frames as the window has.
"""
ERRORS = """
example:
  poise analyse errors --data my_data --track uiprmd/kinect/3D \\
      --track cmu/simulated/3D --file keypoints.json --plot spectra.png

What the errors of an estimator are like, by joint: how large, how long they
last, and how fast they change; of 10, 50 and 90 % of the sequences. Simulated
estimators should be as varied as real ones are. --plot draws the spectra: of
the errors, and of what is detected above 6 Hz, where people hardly move, which
is all that can be said of keypoint files without truth (--file).
"""
REAL = """
example:
  poise analyse real --data my_data --track uiprmd/kinect/3D \\
      --model poise:general --model .poise/sweeps/poise/trials/KEY/checkpoint

Input, every filter as it comes and tuned on the training subjects (every
eighth sequence), the linear map fitted on cmu/simulated/3D where --motion has
it, and models of the same joints, trained elsewhere. Beside the errors:
precision of motion, and how much of the range of motion and of the peak speed
each leaves (docs/metrics.md; --json has them by joint).
"""
SIMULATED = """
example:
  poise analyse simulated --data my_data --model poise:general

Motion of cmu/simulated/3D, 60 clips of 120 frames of the test subjects, as
estimators see it that jitter a little and make one kind of error beside. Next
to the models: the filter that is best for the kind on training subjects, of
all kinds and settings, and the linear map, fitted on all kinds. Then the share
of limbs with swapped sides that are put right, and how far off joints are in
gaps of 5, 15 and 30 frames.
"""
UNCERTAINTY = """
example:
  poise analyse uncertainty --data my_data --track uiprmd/kinect/3D \\
      --model poise:general --model SYNSPP --plot uncertainty.png

Poise says of every joint and frame how far off it expects to be: in ten bins
of equal size, by what is expected, beside the errors that were made, as they
are and after each joint's mean error of the sequence is taken off. Where the
model was trained on another track, the same once more times one factor from
the training subjects of this one. Then Pearson's r of a frame's expected
error, or of the quality that SynSP and SynSP++ give it (without retrieval),
with the error of input and output.
"""

LIVE = """
example:
  poise analyse live --model poise-uiprmd-kinect-3D --plot live.png

What models make of a frame when it may wait for so many later ones: MPJPE and
Accel against the lag. Beside them stand a linear map, One-Euro and a causal
Butterworth whose delay is the lag; the training offset is taken off before
filters, which cannot know it.
"""

app = group("Look into a trained SynSP++, and at estimators' errors.", EXAMPLES)

Models = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="MODEL ...", help=f"{MODEL}; may be repeated"),
]
Plot = Annotated[Path | None, typer.Option(metavar="FILE", help="draw here, as PNG")]


@with_settings("home", "lake", "tracking_uri")
def quality(settings: Settings, model: Model, plot: Plot = None, json: Json = None) -> None:
    """Correlate the quality it gives its input with the input's error."""
    from poise.analysis import quality_correlation
    from poise.analysis.inputs import load_inputs

    _show(quality_correlation.analyse(load_inputs(model, settings)), json, plot)


@with_settings("home", "lake", "tracking_uri")
def neighbours(
    settings: Settings,
    model: Model,
    floors: Annotated[
        list[float] | None,
        typer.Option(
            "--from",
            metavar="D ...",
            help="least squared L2 distances of embeddings (0 1 2)",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="of the irrelevant poses")] = 0,
    json: Json = None,
) -> None:
    """Refine with neighbours that are near, far, and irrelevant."""
    from poise.analysis import neighbour_distance
    from poise.analysis.inputs import load_inputs

    inputs = load_inputs(model, settings)
    _show(neighbour_distance.analyse(inputs, floors or neighbour_distance.FLOORS, seed), json)


def ratio(
    sweep: Annotated[
        str,
        typer.Argument(metavar="SWEEP_FOLDER", help="for example .poise/sweeps/figure1a"),
    ],
    plot: Plot = None,
    json: Json = None,
) -> None:
    """Read precision and smoothness over the loss ratio from a sweep."""
    from poise.analysis import loss_ratio

    _show(loss_ratio.analyse(sweep), json, plot)


@with_settings("home", "lake", "tracking_uri")
def latency(
    settings: Settings,
    model: Model,
    fps: Annotated[
        float | None,
        typer.Option(metavar="FPS", help="of the estimator (the track's own; the paper has 12)"),
    ] = None,
    turns: Annotated[int, typer.Option(metavar="N", help="the median of so many")] = 7,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="of torch (as it is set)")
    ] = None,
    json: Json = None,
) -> None:
    """Measure where the time goes on this machine, part by part."""
    import torch

    from poise.analysis import latency as part_latency
    from poise.analysis.inputs import load_inputs

    if threads is not None:
        torch.set_num_threads(threads)
    _show(part_latency.analyse(load_inputs(model, settings), fps, turns), json)


@with_settings("data")
def errors(
    settings: Settings,
    track: Annotated[
        list[str],
        typer.Option(metavar="TRACK ...", help="for example uiprmd/kinect/3D; may be repeated"),
    ],
    split: Annotated[Literal["train", "test"], typer.Option(help="whose errors")] = "train",
    file: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE[@FPS] ...", help="keypoints without truth, for the plot"),
    ] = None,
    plot: Plot = None,
    json: Json = None,
) -> None:
    """Measure an estimator's errors: size, duration, speed."""
    from poise.analysis import error_spectrum, error_spread
    from poise.catalog.tracks import Track

    tracks = [Track.parse(name) for name in track]
    _show(error_spread.analyse(settings.data, tracks, split), json)
    if plot:
        spectra = [error_spectrum.of_track(settings.data, one, split) for one in tracks]
        spectra += [error_spectrum.of_file(one) for one in file or ()]
        plot.write_bytes(error_spectrum.plot(spectra))


@with_settings("home", "data", "tracking_uri")
def real(
    settings: Settings,
    track: Annotated[str, typer.Option(metavar="TRACK", help="of a real estimator")],
    model: Models = None,
    motion: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="raw data with the motion of cmu/simulated/3D, for the linear map (--data)",
        ),
    ] = None,
    split: Annotated[Literal["train", "test"], typer.Option(help="what is scored")] = "test",
    json: Json = None,
) -> None:
    """Compare every refiner on an estimator that no network here was trained on."""
    from poise.analysis.real import RealRequest, analyse
    from poise.catalog.tracks import Track

    wanted = RealRequest(
        data=settings.data,
        motion=motion or settings.data,
        track=Track.parse(track),
        split=split,
        models=model or (),
        tracking_uri=settings.tracking_uri,
    )
    _show(analyse(wanted), json)


@with_settings("home", "lake", "tracking_uri")
def live(
    settings: Settings,
    model: Annotated[
        list[str],
        typer.Option(metavar="MODEL ...", help="a name or checkpoint folder; may be repeated"),
    ],
    track: Annotated[
        str | None, typer.Option(metavar="TRACK", help="in the lake (the first model's)")
    ] = None,
    lags: Annotated[
        list[int] | None,
        typer.Option("--lag", metavar="N ...", help="(0 1 2 4 8 16 31)", show_default=False),
    ] = None,
    plot: Plot = None,
    json: Json = None,
) -> None:
    """Measure errors against lag, when frames come one by one."""
    from poise.analysis import live as errors_against_lag
    from poise.catalog.tracks import Track

    wanted = sorted(set(lags)) if lags else errors_against_lag.LAGS
    on = Track.parse(track) if track else None
    _show(errors_against_lag.analyse(model, settings, wanted, on), json, plot)


@with_settings("home", "data", "tracking_uri")
def simulated(
    settings: Settings,
    model: Models = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND ...", help="of error (every one)", show_default=False),
    ] = None,
    split: Annotated[Literal["train", "test"], typer.Option(help="whose motion")] = "test",
    json: Json = None,
) -> None:
    """Compare refiners on each kind of error, on swapped sides, and in gaps."""
    from poise.analysis import error_kinds

    kinds = tuple(kind or error_kinds.KINDS)
    uri = settings.tracking_uri
    _show(error_kinds.analyse(settings.data, split, model or (), uri, kinds), json)


@with_settings("home", "data", "tracking_uri")
def uncertainty(
    settings: Settings,
    model: Models = None,
    track: Annotated[
        str, typer.Option(metavar="TRACK", help="on whose sequences")
    ] = "uiprmd/kinect/3D",
    split: Annotated[Literal["train", "test"], typer.Option(help="which of them")] = "test",
    plot: Plot = None,
    json: Json = None,
) -> None:
    """Compare the errors that a model expects with those that it makes."""
    from poise.analysis import uncertainty as expected
    from poise.catalog.tracks import Track

    chosen, uri = Track.parse(track), settings.tracking_uri
    _show(expected.analyse(settings.data, chosen, split, model or (), uri), json, plot)


def _show(result: "AnalysisResult", json: Path | None, plot: Path | None = None) -> None:
    say(result.text)
    if json:
        write_json(json, [asdict(row) for row in result.rows])
    if result.picture is not None and plot:
        plot.write_bytes(result.picture())


add(app, quality, QUALITY)
add(app, neighbours, NEIGHBOURS)
add(app, ratio, RATIO)
add(app, latency, LATENCY)
add(app, errors, ERRORS)
add(app, real, REAL)
add(app, live, LIVE)
add(app, simulated, SIMULATED)
add(app, uncertainty, UNCERTAINTY)
