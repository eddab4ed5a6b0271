"""What can go wrong on the platform. Every message says what, where, and what to do."""


class PoiseError(Exception):
    """Base of every error this package raises on purpose; jobs print it without a traceback."""


class SettingsError(PoiseError):
    """An environment variable or a shared option cannot be used; the message names it."""


class ClusterError(PoiseError):
    """A Ray cluster cannot be joined or started; the message names the variable at fault."""


class TrackError(PoiseError):
    """A track is unknown, or its name is not ``dataset/estimator/representation``."""


class CatalogueError(PoiseError):
    """A TOML file that describes a data set cannot be used."""


class DataError(PoiseError):
    """A raw file or folder cannot be used at all."""


class ImageNameError(DataError):
    """The path of an image matches none of its data set's patterns."""


class LakeError(PoiseError):
    """The lake lacks a track, or holds something this version cannot read."""


class CheckpointError(PoiseError):
    """A checkpoint is missing, damaged, or made for other data."""


class NoRetrievalError(PoiseError):
    """A refiner reads neighbours, and there is no Pose Vector Database to ask."""


class PlanError(PoiseError):
    """An experiment plan is not valid."""


class ModelError(PoiseError):
    """A model name or alias leads nowhere."""


class BusyError(PoiseError):
    """Another process holds what this one needs alone."""


def expected_errors() -> tuple[type[Exception], ...]:
    """Return the roots of all errors that Poise raises on purpose, of each of its three packages.

    A command prints them as one line; any other is a mistake of ours and shows its traceback.
    """
    # Here and not above: the retrieval package takes seconds to import.
    from poise_models.errors import RefinerError
    from poise_retrieval.errors import RetrievalError

    return PoiseError, RefinerError, RetrievalError
