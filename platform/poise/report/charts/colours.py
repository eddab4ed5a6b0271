"""The colour of a refiner, the same in every chart."""

_OWN = {
    "poise": 1, "smoothnet": 2, "linear": 3, "synspp": 4, "deciwatch": 5, "gfpose": 6, "synsp": 7,
    "hanet": 8, "poise:general": 9,
}  # fmt: skip


def colour_of(refiner: str) -> str:
    """Return a colour of the page's style; filters and the input share a grey."""
    return f"var(--c{_OWN.get(refiner, 0)})"
