"""Tokens with limits of their own: how they are read, and who may come when."""

import hashlib
from pathlib import Path

import pytest

from poise.runtime.errors import SettingsError
from poise.serving.tokens.clients import ANYBODY, Client, Clients, read_clients

TOKENS = [f"token-number-{number}-of-some" for number in range(3)]
NO_TOKEN = hashlib.sha256(b"").hexdigest()
HASHES = [hashlib.sha256(token.encode()).hexdigest() for token in TOKENS]


def test_a_file_says_who_may_have_what(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(
        f"[lab]\nsha256 = '{HASHES[0]}'\nrequests_per_s = 2\nframes = 100\n"
        f"['the page']\nsha256 = '{HASHES[1]}'\n"
    )
    lab, page = read_clients(path)
    assert (lab.name, lab.requests_per_s, lab.frames, lab.streams) == ("lab", 2, 100, None)
    all_ = Clients(TOKENS[2], [lab, page])
    shown = [f"Bearer {token}" for token in TOKENS]
    assert all_.who(shown[:1]) == lab
    assert all_.who(["bearer  " + TOKENS[1]]) == page
    assert all_.who(shown[2:]) == Client(sha256=HASHES[2])
    for nobody in ([], shown[:2], ["Bearer "], ["Bearer x"], [f"Basic {TOKENS[0]}"], ["\ud800"]):
        assert all_.who(nobody) is None
    assert Clients().who([]) is ANYBODY
    assert Clients(listed=[Client(sha256=NO_TOKEN)]).who([]) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no token"),
        ("[a", "no TOML"),
        ("a = 1", "a should be a table with the sha256"),
        ("[a]\nframes = 3", "a should be a table with the sha256"),
        ("[a]\nsha256 = 'secret'", "a.sha256: "),
        (f"[a]\nsha256 = '{NO_TOKEN}'", "a.sha256: is that of no token"),
        (f"[a]\nsha256 = '{HASHES[0]}'\nframe = 3", "a.frame: "),
        (f"[a]\nsha256 = '{HASHES[0]}'\nframes = 0", "a.frames: "),
        (f"[a]\nsha256 = '{HASHES[0]}'\nrequests_per_s = nan", "a.requests_per_s: "),
        (f"[a]\nsha256 = '{HASHES[0]}'\n[b]\nsha256 = '{HASHES[0]}'", "two names"),
    ],
)
def test_what_is_wrong_with_it_is_said(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        read_clients(path)
    assert str(error.value).startswith(f"{path}: {says}")
    assert "secret" not in str(error.value)


def test_each_may_come_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    swift, slow = (
        Client(sha256=HASHES[at], requests_per_s=often) for at, often in ((0, 4), (1, 0.5))
    )
    all_ = Clients(listed=[swift, slow])
    assert [all_.wait_s(swift) for _ in range(5)] == [0, 0, 0, 0, 0.25]
    assert [all_.wait_s(slow) for _ in range(2)] == [0, 2]
    now += 0.25
    assert [all_.wait_s(swift) for _ in range(2)] == [0, 0.25]
    now += 60
    assert [all_.wait_s(swift) for _ in range(5)] == [0, 0, 0, 0, 0.25]
    assert all_.wait_s(ANYBODY) == 0
