"""Errors of this package; all of them are `RefinerError`."""


class RefinerError(Exception):
    """Base of every error this package raises."""


class UnknownRefinerError(RefinerError):
    """No refiner has that name."""


class ConfigError(RefinerError):
    """A refiner was given a setting it does not know, or a value that makes no sense."""


class ShapeError(RefinerError):
    """A clip does not fit the refiner: wrong width, wrong number of windows or neighbours."""


class NonFiniteLossError(RefinerError):
    """The training loss became NaN or infinite; the weights of that step are worthless."""
