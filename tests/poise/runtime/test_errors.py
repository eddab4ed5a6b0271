"""What a library says, as a user should read it."""

import json
import sqlite3
import urllib.error
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import requests
import yaml
from pydantic import TypeAdapter

from poise.runtime.errors import in_short


def raised(call: Callable[[str], Any], text: str) -> Exception:
    try:
        call(text)
    except Exception as error:
        return error
    raise AssertionError(text)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(13, "Permission denied", "/a"), "permission denied"),
        (KeyError("schema_version"), "'schema_version' is missing"),
        (ValueError(), "no reason given"),
        (zlib.error("Error -3 while decompressing data"), "Error -3 while decompressing data"),
        (zipfile.BadZipFile("File is not a zip file"), "File is not a zip file"),
        (
            requests.ConnectionError(
                "HTTPConnectionPool(host='a', port=1): Max retries exceeded (Caused by "
                "NewConnectionError('<x>: [Errno 111] Connection refused'))"
            ),
            "refused",
        ),
        (urllib.error.URLError("[Errno 111] Connection refused"), "refused"),
        (sqlite3.DatabaseError("(sqlite3.DatabaseError) file is no database"), "file is no data"),
        (ValueError("a\x1b[2J\nb"), "a\\x1b[2J b"),
    ],
)
def test_a_library_s_error_is_one_line_without_its_name(error: Exception, says: str) -> None:
    said = in_short(error)
    assert said.startswith(says)
    assert "Error" not in said.replace("Error -3", "")
    assert "\n" not in said


def test_errors_that_take_many_lines_take_one() -> None:
    for error in (
        raised(TypeAdapter(list[int]).validate_json, '["a", "b"]'),
        raised(yaml.safe_load, "a: [1,\nb: }"),
        raised(json.loads, "{"),
    ):
        said = in_short(error)
        assert said == " ".join(said.split())
        assert "pydantic" not in said
        assert "validation error" not in said
