"""What can go wrong in the Pose Vector Database. Every message says what, where, what to do."""


class RetrievalError(Exception):
    """Base of every error this package raises on purpose."""


class SkeletonError(RetrievalError):
    """No skeleton has that name, or the poses do not fit it."""


class VectorError(RetrievalError):
    """Points or vectors cannot be used: wrong shape, wrong width, NaN or infinity."""


class StoreUnavailableError(RetrievalError):
    """Milvus does not answer: not started, gone, or too slow."""


class CollectionError(RetrievalError):
    """A collection or alias does not exist, exists already, or is in use."""


class SubjectRuleError(RetrievalError):
    """A search gave back the subject it had to exclude; nothing of its answer may be used."""


class ImportFailedError(RetrievalError):
    """Milvus could not import a file, or this Milvus imports none."""


class RefusedError(RetrievalError):
    """Milvus answered, and refused.

    Attributes:
        code: Milvus's own error code.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type["RefusedError"], tuple[int, str]]:
        return type(self), (self.code, str(self))
