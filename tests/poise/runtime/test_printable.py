import pytest

from poise.runtime.printable import printable


@pytest.mark.parametrize(
    "name", ["S01", "Zoë", "Ζωή", "阿部 さくら", "a\u00a0b", "می\u200cخواهم", "👩\u200d🔬", "C:\\x"]
)
def test_names_in_any_script_stay_as_they_are(name: str) -> None:
    assert printable(name) == name


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("head\x1b[2J", r"head\x1b[2J"),
        ("a\0\0", r"a\x00\x00"),
        ("two\nlines\tand\r", r"two\nlines\tand\r"),
        ("abc\x9bm", r"abc\x9bm"),
        ("\u2028", r"\u2028"),
        ("txt\u202egpj", r"txt\u202egpj"),
        ("\ud800", r"\ud800"),
        (b"\xff.bvh".decode("utf-8", "surrogateescape"), r"\xff.bvh"),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped(given: str, shown: str) -> None:
    assert printable(given) == shown
    shown.encode("ascii")


def test_lines_of_a_message_may_stay() -> None:
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"
