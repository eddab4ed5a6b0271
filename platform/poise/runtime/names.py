"""What names may be, and how they are spelt where not every character is allowed.

A track's name goes into Milvus, the model registry, MLflow, folders, files and metrics. All of them
but Milvus take it as it is; names that differ only in case are one name to some of them, so that no
two such tracks may lie in one lake.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

#: Of a data set and of an estimator: with all that is put around them, a file's name stays below
#: 255 bytes, and so does a collection's.
LONGEST: Final = 100
DATASET: Final = re.compile(rf"[A-Za-z][A-Za-z0-9]{{0,{LONGEST - 1}}}")
DATASET_RULE: Final = (
    f"a data set's name has letters and digits only, a letter first, and at most {LONGEST} of them"
)
ESTIMATOR: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.+-]{{0,{LONGEST - 1}}}")
ESTIMATOR_RULE: Final = (
    f"an estimator's name has letters, digits and . _ + - only, a letter or digit first, and at "
    f"most {LONGEST} of them"
)
#: Of a subject, in bytes of UTF-8: what a collection holds.
LONGEST_SUBJECT: Final = 256
#: Of an image's path, in bytes of UTF-8. Real ones have 200; what a pattern costs may grow with a
#: power of the length.
LONGEST_PATH: Final = 1024
#: Of an encoded name: a collection's name has a fingerprint behind it.
_LONGEST_ENCODED: Final = 200
_HASH_DIGITS: Final = 32


def encode(*parts: str) -> str:
    """Spell parts of a name with letters, digits and underscores, so that no two are spelt alike.

    Letters and digits stay; any other byte of a part is ``__`` and two hexadecimal digits, and
    single underscores join the parts: ``uiprmd, kinect, 3D`` is ``uiprmd_kinect_3D``, and
    ``mylab, net_a, 3D`` is ``mylab_net__5fa_3D``. What would be too long for Milvus ends in a hash.

    Args:
        parts: of any characters, of which none is empty.
    """
    spelt = "_".join(map(_spelt, parts))
    if len(spelt) <= _LONGEST_ENCODED:
        return spelt
    # ``__x`` occurs in no other: x is no hexadecimal digit.
    digest = hashlib.sha256(spelt.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{spelt[: _LONGEST_ENCODED - _HASH_DIGITS - 3]}__x{digest}"


def same_but_for_case(name: str, others: Iterable[str]) -> str | None:
    """Return the first of other names that differs from this one in case alone."""
    return next((o for o in others if o != name and o.casefold() == name.casefold()), None)


def normal(text: str) -> str:
    """Return a subject's or sequence's name in the one spelling that Unicode calls NFC.

    File systems and archives write ``Zoë`` with one code point or with two: it is one person.
    """
    return unicodedata.normalize("NFC", text)


def why_no_label(text: str, longest: int) -> str | None:
    """Say what is wrong with the name of a subject or an image; None where nothing is.

    Args:
        text: the name.
        longest: how many bytes of UTF-8 it may have.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "has half of a surrogate pair, which is no character and which no file can hold"
    return f"is of {size:,} bytes; at most {longest:,} can be held" if size > longest else None


def _spelt(part: str) -> str:
    return re.sub(rb"[^A-Za-z0-9]", lambda one: b"__%02x" % one[0][0], part.encode()).decode()
