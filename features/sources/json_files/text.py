"""Reads a text file piece by piece, with the place reached and the number of its line."""

import codecs
import re
from pathlib import Path

from features.sources.text.lines import read_pieces

__all__ = ["HEAD_CHARACTERS", "Text"]


HEAD_CHARACTERS = 1 << 20
"""How much of a file is looked at before it is read."""


class Text:
    """A file's text from some place on: more of it when asked, and what was used let go."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._pieces = read_pieces(path)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.buffer = ""
        self.place = 0
        self.line = 1
        self.is_whole = False  # there is no more of it
        self.is_cut = False

    def head(self) -> str:
        """The beginning of the text."""
        while len(self.buffer) < HEAD_CHARACTERS and self.more():
            pass
        self.buffer = self.buffer.removeprefix("\ufeff")
        return self.buffer

    def more(self) -> bool:
        """Read on; whether there was anything."""
        piece = b"" if self.is_whole else next(self._pieces, b"")
        if not piece:
            self.is_whole, self.is_cut = True, self.is_cut or piece is None
            return False
        self.buffer = self.buffer[self.place :] + self._decoder.decode(piece)
        self.place = 0
        return True

    def go_to(self, place: int) -> None:
        """Move on to a place, and count the lines on the way."""
        self.line += self.buffer.count("\n", self.place, place)
        self.place = place

    def skip(self, shape: re.Pattern[str]) -> str:
        """Move past a match of a pattern; return the character behind it, empty at the end of the file."""
        while True:
            match = shape.match(self.buffer, self.place)
            self.go_to(match.end() if match else self.place)
            if self.place < len(self.buffer):
                return self.buffer[self.place]
            if not self.more():
                return ""
