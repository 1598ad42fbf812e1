"""Tells the words by which sources say that there is nothing: ``-``, NULL, nan, undefined, N/A and their like."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["WORDS_FOR_NOTHING", "without_nobody", "without_words_for_nothing"]


WORDS_FOR_NOTHING = frozenset(
    {
        *("", "-", "--", "null", "none", "nil", "nan", "-nan", "nat", "undefined", "n/a", "#n/a", r"\n"),
        *("(null)", "(none)", "(nil)", "(undefined)", "(blank)", "<null>", "<none>", "<nil>", "<na>", "[null]"),
        *("#null!", "#ref!", "#value!", "#name?", "#div/0!", "#num!", "\u2014", "\u2013"),
        *("#nv", "#n/d", "#bezug!", "#wert!", "#zahl!", "#valeur!", "#nom?", "#nombre!"),  # of German and French Excel
        *("n.a.", "(not set)", "(unknown)", "<unknown>"),
    }
)
"""In small letters; NA is left out, since it is Namibia and North America."""

_NOBODY = ("unknown", "anonymous")  # as an account; a region may well be called so

_LONGEST = max(len(word.encode()) for word in WORDS_FOR_NOTHING) + 4  # bytes, with some space around
_WORDS = pa.array(sorted(WORDS_FOR_NOTHING), pa.string())
_NOBODY_WRITTEN = pa.array([form for word in _NOBODY for form in (word, word.capitalize(), word.upper())], pa.string())
_FIRST = np.zeros(256, dtype=bool)
_FIRST[
    sorted({byte for word in WORDS_FOR_NOTHING if word for byte in (word.encode()[0], word.upper().encode()[0])})
] = True
_FIRST[[ord(" "), ord("\t"), 0xC2]] = True  # 0xC2 begins a no-break space


def without_words_for_nothing(values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """The values with null for each text that says, in whatever case and with space around it, that there is none."""
    if isinstance(values, pa.ChunkedArray):
        chunks = [without_words_for_nothing(chunk) for chunk in values.chunks]
        return pa.chunked_array(chunks, values.type)
    if pa.types.is_dictionary(values.type):
        dictionary = without_words_for_nothing(values.dictionary)
        if dictionary is values.dictionary:
            return values
        # A null in a dictionary is not seen as one everywhere.
        return dictionary.take(values.indices).dictionary_encode().cast(values.type)
    if not pa.types.is_string(values.type) or not _may_say_nothing(values):
        return values
    is_nothing = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(values)), _WORDS)
    return pc.if_else(is_nothing, pa.scalar(None, pa.string()), values) if pc.any(is_nothing).as_py() else values


def without_nobody(accounts: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """The accounts with null for the words that gateways write where nobody has signed in."""
    if isinstance(accounts, pa.ChunkedArray):
        return pa.chunked_array([without_nobody(chunk) for chunk in accounts.chunks], accounts.type)
    if pa.types.is_dictionary(accounts.type):
        dictionary = without_nobody(accounts.dictionary)
        if dictionary is accounts.dictionary:
            return accounts
        return dictionary.take(accounts.indices).dictionary_encode().cast(accounts.type)
    if not pa.types.is_string(accounts.type):
        return accounts
    is_nobody = pc.is_in(accounts, _NOBODY_WRITTEN)
    return pc.if_else(is_nobody, pa.scalar(None, pa.string()), accounts) if pc.any(is_nobody).as_py() else accounts


def _may_say_nothing(texts: pa.StringArray) -> bool:
    """Whether a text may be a word for nothing: a look at its length and first byte, since nearly none is."""
    _, offsets, content = texts.buffers()
    if content is None or not len(texts):
        return False
    bounds = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    sizes = np.diff(bounds)
    begins = bounds[:-1][(sizes > 0) & (sizes <= _LONGEST)]
    return bool(_FIRST[np.frombuffer(content, dtype=np.uint8)[begins]].any())
