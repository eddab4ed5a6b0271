"""Pages from templates: one file each, with style, script and data inside."""

import json
from importlib import resources
from typing import Any


def filled(package: str, name: str, data: Any, **parts: str) -> str:
    """Return a page, its style and script the common ones before its own.

    Args:
        package: where the template is.
        name: of its file, which has ``STYLE``, ``SKELETONS`` and ``DATA`` once each.
        data: plain values for ``DATA``, a place in the script.
        parts: HTML for other words of the template, escaped by whoever made it.
    """
    text = resources.files(package).joinpath(name).read_text("utf-8")
    shared = resources.files("poise.runtime.page")
    for word, file in (("STYLE", "style.css"), ("SKELETONS", "skeletons.js")):
        text = text.replace(word, shared.joinpath(file).read_text("utf-8").strip(), 1)
    # No text of a file ends the script.
    whole = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    for word, part in {**parts, "DATA": whole}.items():
        head, _, tail = text.partition(word)
        text = head + part + tail
    return text
