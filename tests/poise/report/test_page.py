"""The page: HTML that is whole, loads nothing, and lets no text of a file into its script."""

import json
import re
from html.parser import HTMLParser

from poise.report.pages.document import (
    Cell,
    Document,
    Items,
    Picture,
    Section,
    Skeletons,
    Table,
    Terms,
    Text,
)
from poise.report.pages.markdown import markdown
from poise.report.pages.page import page

SCENE = {"frames": [0], "poses": {"truth": [[[0, 0, 0]]]}, "note": "</script><b>"}
EVERYTHING = Document(
    title="a <sweep> & more",
    about="about it",
    sections=[
        Section(
            "Results",
            [
                Text("`code` and words"),
                Table(
                    ["Refiner", "MPJPE"],
                    [[Cell("Linear", "2 of 3"), Cell("50.00", "paper 49.00, +1.00", bold=True)],
                     [Cell("a|b"), Cell("60.00", shade=0.5)]],
                    caption="A table", notes=["A note."],
                ),
                Items(["one <i>"]),
                Terms([("Seeds", "0, 1")]),
                Picture("<svg viewBox='0 0 1 1'></svg>", "left"),
                Picture("<svg viewBox='0 0 1 1'></svg>", "right"),
                Skeletons("the worst", SCENE),
            ],
        ),
        Section("More", [Table(["Run"], [[Cell("abc", href="http://mlflow:5000/#/x")]])], level=3),
    ],
    figures=[("50 mm", "MPJPE")],
)  # fmt: skip
_EMPTY = {"meta", "input", "br", "i", "link"}


class Whole(HTMLParser):
    """Parses a page; every element that is opened must be closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.scripts = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts += data


def loaded(text: str) -> list[str]:
    """What a browser would fetch to show a page."""
    found = [
        value or ""
        for tag, attributes in Whole(text).seen
        for name, value in attributes.items()
        if name in ("src", "srcset") or (tag == "link" and name == "href")
    ]
    return found + re.findall(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", text)


def test_the_page_is_whole_and_loads_nothing() -> None:
    text = page(EVERYTHING)
    assert loaded(text) == []
    whole = Whole(text)
    assert [tag for tag, _ in whole.seen].count("canvas") == 1
    assert ("div", {"class": "panels"}) in whole.seen
    assert "a &lt;sweep&gt; &amp; more" in text
    assert "<code>code</code> and words" in text
    assert '<td class="best">50.00<small>paper 49.00, +1.00</small></td>' in text


def test_what_skeletons_say_stays_in_the_script() -> None:
    scripts = Whole(page(EVERYTHING)).scripts
    found = re.search(r"const scenes = (\[.*\]);\n", scripts)
    assert found
    assert json.loads(found[1]) == [SCENE]


def test_long_tables_are_folded() -> None:
    rows = [[Cell(str(number))] for number in range(100)]
    text = page(Document("x", "y", [Section("z", [Table(["n"], rows, caption="Every one")])]))
    assert "<details><summary>Every one: 100 rows</summary>" in text


def test_markdown_has_the_texts_and_the_tables() -> None:
    assert markdown(EVERYTHING, "report.html") == (
        "# a <sweep> & more\n\nabout it\n\n"
        "Pictures, and skeletons that move: [report.html](report.html).\n\n- MPJPE: **50 mm**\n\n"
        "## Results\n\n`code` and words\n\n**A table**\n\n"
        "| Refiner | MPJPE |\n| --- | ---: |\n"
        "| Linear (2 of 3) | **50.00** (paper 49.00, +1.00) |\n| a\\|b | 60.00 |\n\nA note.\n\n"
        "- one <i>\n\n- Seeds: 0, 1\n\n"
        "### More\n\n| Run |\n| --- |\n| [abc](http://mlflow:5000/#/x) |\n"
    )
