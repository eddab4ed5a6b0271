"""Text from outside (names of files, labels, what a library said) as a terminal may show it."""

import unicodedata

#: Control characters, halves of characters, ends of lines, and what turns text around.
_UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp", "Cf"})
#: Invisible, and part of words in Persian, Hindi and others.
_JOINERS = frozenset("\u200c\u200d")
#: Python reads the byte 0xff of a name that is no UTF-8 as U+DCFF.
_BYTES = range(0xDC80, 0xDD00)


def printable(text: object, keep: str = "") -> str:
    r"""Return text with every character escaped that a terminal would act on.

    Letters of all scripts stay as they are; an ESC becomes ``\x1b``, and so does a byte of a
    file's name that is no UTF-8.

    Args:
        text: anything; its ``str`` is taken.
        keep: characters that stay, for example ``"\n"`` where a message has several lines.
    """
    return "".join(c if c in keep else _shown(c) for c in str(text))


def _shown(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _UNSAFE:
        return character
    number = ord(character)
    if number in _BYTES:
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
