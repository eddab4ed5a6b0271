"""docs/formats.md says what `poise formats` says."""

from pathlib import Path

import pytest

from poise.cli.main import main
from poise.cli.motion.formats import as_markdown
from poise.motion.files import formats

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"


def test_the_page_has_every_format_and_field() -> None:
    text = PAGE.read_text()
    _, _, rest = text.partition("<!-- formats: poise formats --markdown -->\n")
    table, _, _ = rest.partition("<!-- end of formats -->")
    assert table.strip() == as_markdown().strip(), "write it anew: poise formats --markdown"


def test_each_format_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for one in formats():
        assert main(["formats", one.name]) == 0
        said = capsys.readouterr().out
        assert all(field in said for field in one.fields), one.name
