"""An untrained SynSP++ on the tiny lake, as all analyses take it."""

import pytest
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.analysis.inputs import AnalysisInputs, load_inputs
from poise.checkpoints.checkpoint import ModelCard, pose_spec, save_checkpoint
from poise.runtime.settings import Settings
from poise_models import catalogue


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> AnalysisInputs:
    folder = tmp_path_factory.mktemp("inputs")
    write_tiny_lake(folder / "lake")
    small = {"width": 8, "feed_forward": 8, "heads": 2, "layers": 1}
    refiner = catalogue.build("synspp", pose_spec(TRACK), small)
    card = ModelCard(str(TRACK), "synspp", refiner.settings(), lake=str(folder / "lake"))
    save_checkpoint(refiner, card, str(folder / "model"))
    return load_inputs(str(folder / "model"), Settings.load(home=folder / "home"))
