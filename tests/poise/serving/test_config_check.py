"""Config files of ``serve deploy``: ours, and what may be wrong with any."""

from pathlib import Path

import pytest

from poise.cli.main import main
from poise.serving.config_check import problems_of

OURS = Path(__file__).parents[3] / "deploy" / "serve.yaml"


def test_the_file_that_comes_with_poise_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--check", str(OURS)]) == 0
    assert "are right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("http_options:", "http_option:", "http_option: {} (did you mean http_options?)"),
        ("  port: 8000", "  prot: 8000", "http_options.prot: {} (did you mean port?)"),
        ("    args:", "    argss:", "applications[0].argss: {} (did you mean args?)"),
        ("enable_access_log", "enable_acces_log", "logging_config.enable_acces_log: {}"),
        ("replicas_max: 4", "replica_max: 4", "applications[0].args.replica_max: {}"),
        ("replicas_max: 4", "replicas_max: x", "applications[0].args.replicas_max: Input should"),
        ("cpus: 1", "cpus: 0", "applications[0].args.cpus: Input should be greater than 0"),
        ("name: poise", "name: other", "applications[0].name: has to be poise"),
        ("host: 127.0.0.1", "host: 0.0.0.0", "http_options.host: 0.0.0.0 lets the network in"),
        ("  host: 127.0.0.1\n", "", "http_options.host: 0.0.0.0 lets the network in"),
        ("  port: 8000", "  port: high", "http_options.port: Input should be a valid integer"),
        ("poise.serving.app:build", "poise.serving:app", "applications: none has import_path"),
        ("limit_connections\n", "limit\n", "controller_options.runtime_env.env_vars: without"),
        ("NODE_ROUTING:", "NODE_ROUTINGS:", "controller_options.runtime_env.env_vars: without"),
        ("proxy_location: EveryNode", "proxy_location: Nowhere", "proxy_location: "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, says: str
) -> None:
    text = OURS.read_text()
    assert old in text
    path = tmp_path / "serve.yaml"
    path.write_text(text.replace(old, new, 1))
    assert main(["serve", "--check", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    says = says.format("there is no such key")
    assert any(line.startswith(f"{path}: {says}") for line in lines), lines


@pytest.mark.parametrize("content", ["[]", "a: [", "a: 1\na: 2", ""])
def test_what_is_no_such_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(content)
    assert main(["serve", "--check", str(path)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_token_lets_the_network_in(tmp_path: Path) -> None:
    path = tmp_path / "serve.yaml"
    text = OURS.read_text().replace("host: 127.0.0.1", "host: 0.0.0.0")
    path.write_text(
        text.replace("      replicas: 2", "      token: sixteen-or-more-1\n      replicas: 2")
    )
    assert problems_of(path) == []
