"""Spectra of waves that are known, and the plot of tracks and files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from poise.analysis.error_spectrum import SEGMENT, density, of_file, of_track
from poise.catalog.tracks import Track
from poise.cli.main import main
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime.errors import DataError

KINECT, SIMULATED = Track("uiprmd", "kinect", "3D"), Track("cmu", "simulated", "3D")
FRAMES = 130


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Errors of 0.1 m at the head, 8 Hz; and the truth of a track of simulated estimators."""
    folder = tmp_path_factory.mktemp("data")
    head = KINECT.info.joint_names.index("head")
    made = []
    for one in sequences("train", Size(1, 3, FRAMES)):
        assert one.truth_FC is not None
        detected_FC = one.truth_FC.copy()
        detected_FC[:, 3 * head] += 0.1 * np.sin(2 * np.pi * 8 * np.arange(FRAMES) / 30)
        made.append(replace(one, detected_FC=detected_FC))
    for track in (KINECT, SIMULATED):
        write_smoothnet(folder, track, "train", made)
    return folder


def waves(hertz: float, fps: float, size: float, joints: int = 2) -> NDArray[np.float64]:
    wave_F = size * np.sin(2 * np.pi * hertz * np.arange(200) / fps)
    return np.repeat(wave_F[:, None, None], joints, axis=1) * [1.0, 0.0, 0.0]


@given(
    share=st.floats(0.1, 0.4), fps=st.floats(10, 120), size=st.floats(1e-3, 1e3),
    drift=st.floats(-100, 100),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_a_wave_is_found_where_and_as_strong_as_it_is(
    share: float, fps: float, size: float, drift: float
) -> None:
    series = waves(share * fps, fps, size) + drift * size * np.arange(200)[:, None, None]
    found_K = density(series, np.ones(series.shape[:2], bool), fps)
    assert found_K is not None
    hertz_K = np.fft.rfftfreq(SEGMENT, 1 / fps)
    assert hertz_K[found_K.argmax()] == pytest.approx(share * fps, abs=fps / SEGMENT)
    assert found_K.sum() * fps / SEGMENT == pytest.approx(size**2 / 2, rel=0.05)


def test_segments_with_a_gap_do_not_count() -> None:
    series = waves(5, 30, 1.0)
    seen = np.ones(series.shape[:2], bool)
    whole_K = density(series, seen, 30)
    series[100, 0], seen[100, 0] = 1e6, False
    gap_K = density(series, seen, 30)
    assert whole_K is not None
    assert gap_K is not None
    np.testing.assert_allclose(gap_K, whole_K, rtol=0.1, atol=1e-3)
    seen[100] = seen[50] = seen[150] = False
    assert density(series, seen, 30) is None
    assert density(series[: SEGMENT - 1], seen[: SEGMENT - 1], 30) is None


def test_errors_of_a_track_are_known(data: Path) -> None:
    kinect, simulated = (of_track(data, track, "train") for track in (KINECT, SIMULATED))
    assert kinect.error_3K is not None
    assert kinect.hertz_K[kinect.error_3K[1].argmax()] == pytest.approx(8, abs=30 / SEGMENT)
    # The head is one of 17 joints.
    power = kinect.error_3K[1].sum() * 30 / SEGMENT
    assert power == pytest.approx(100**2 / 2 / 17, rel=0.05)
    assert np.isnan(kinect.fast_3K[:, kinect.hertz_K <= 6]).all()
    assert (kinect.fast_3K[:, kinect.hertz_K > 6] >= 0).all()
    assert (kinect.simulated, simulated.simulated) == (False, True)


def test_the_plot_through_the_front_door(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data / "poses/uiprmd_kinect_3D/detected/uiprmd_kinect_3D_train.npz"
    plot = tmp_path / "spectra.png"
    arguments = ["analyse", "errors", "--data", str(data), "--plot", str(plot)]
    tracks = ["--track", str(KINECT), "--track", str(SIMULATED)]
    assert main([*arguments, *tracks, "--file", f"{file}@30"]) == 0
    assert plot.read_bytes()[:4] == b"\x89PNG"
    capsys.readouterr()
    assert main([*arguments, *tracks, "--file", str(file)]) != 0
    assert "nothing says how many frames a second; write" in capsys.readouterr().err


def test_a_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", np.random.default_rng(0).normal(size=(20, 17, 3)))
    with pytest.raises(DataError, match="no joint is seen in 64 frames"):
        of_file(f"{tmp_path / 'short.npy'}@30")
