"""What can go wrong when starting or running the service."""

from poise.runtime.errors import PoiseError


class ServiceError(PoiseError):
    """The service cannot start, or cannot be reached."""


class NotFiniteError(PoiseError):
    """A refiner gave back NaN or infinity for poses that were finite."""
