"""The loop of cleaning: one pass over the UTF-8 bytes of notes, compiled by numba; `cleaning.py` holds the rules.

A note is read in stretches that stand verbatim in the clean text; an edit ends one and begins the next. Places are
bytes, points are code points: a point is its place less the continuation bytes (`wide`) before it.
Legend: N notes, E segments, S sections, B bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from chartcode.kernels import kernel

Array = np.ndarray[Any, Any]
TAB, NEWLINE, RETURN, BLANK, STAR, COLON, OPEN, CLOSE, UNDERSCORE = b"\t\n\r *:[]_"
LONGEST_MASK = 200  # code points inside a bracketed mask
# What a byte may begin; the others are plain.
_PLAIN, _BLANK, _NEWLINE, _RETURN, _UNDERSCORE, _OPEN, _COLON, _SPACE, _WIDE, _INSIDE = range(10)
_KINDS = np.zeros(256, np.uint8)
_KINDS[[TAB, BLANK]] = _BLANK
_KINDS[[NEWLINE, RETURN, UNDERSCORE, OPEN, COLON]] = _NEWLINE, _RETURN, _UNDERSCORE, _OPEN, _COLON
_KINDS[[0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x1F]] = _SPACE  # as str.split has it, but for those above
_KINDS[0x80:] = _WIDE
_KINDS[0x80:0xC0] = _INSIDE

_READ = types.Array(types.uint8, 1, "C", readonly=True)  # Arrow's buffers may not be written
_BYTES, _LONGS, _TABLE, _TOTALS = types.uint8[::1], types.int64[::1], types.int32[:, ::1], types.int64[:, ::1]


@kernel()
def _inside(byte: int) -> bool:
    """Whether a byte goes on with a code point rather than beginning one."""
    return byte & 0xC0 == 0x80


@kernel()
def _space_width(text: Array, place: int, stop: int) -> int:
    """Bytes of the space beyond ASCII at `place` (U+0085, U+00A0, U+1680, U+2000 and so on); 0 where there is none."""
    first = text[place]
    if first == 0xC2 and place + 1 < stop:
        return 2 if text[place + 1] == 0x85 or text[place + 1] == 0xA0 else 0
    if 0xE1 <= first <= 0xE3 and place + 2 < stop:
        second, third = text[place + 1], text[place + 2]
        if first == 0xE1:
            found = second == 0x9A and third == 0x80
        elif first == 0xE3:
            found = second == 0x80 and third == 0x80
        elif second == 0x80:
            found = third <= 0x8A or third in (0xA8, 0xA9, 0xAF)
        else:
            found = second == 0x81 and third == 0x9F
        return 3 if found else 0
    return 0


@kernel()
def _bracket_end(text: Array, place: int, stop: int) -> int:
    """Where the bracketed mask that begins at `place` ends; `place` where none begins."""
    if place + 6 > stop or text[place] != OPEN or text[place + 1] != STAR or text[place + 2] != STAR:
        return place
    points, end = 0, place + 3
    while end < stop and points <= LONGEST_MASK + 2:
        byte = text[end]
        if byte == CLOSE:
            masked = points >= 2 and text[end - 1] == STAR and text[end - 2] == STAR
            return end + 1 if masked else place
        if byte in (RETURN, NEWLINE):
            return place
        points += not _inside(byte)
        end += 1
    return place


@kernel()
def _mask_end(text: Array, place: int, stop: int) -> int:
    """Where the bracketed masks that begin at `place`, and the underscores among them, end."""
    end: int = _bracket_end(text, place, stop)
    while place < end < stop:
        place = end
        end = end + 1 if text[end] == UNDERSCORE else _bracket_end(text, end, stop)
    return end


@kernel()
def _header(clean: Array, start: int, stop: int, headers: Array, header_ends: Array) -> int:
    """Number of the section header that stands between two places of the clean text, in any case; -1 if it is none."""
    if stop > start and clean[stop - 1] == BLANK:
        stop -= 1
    begin = 0
    for header in range(len(header_ends)):
        end = header_ends[header]
        if end - begin == stop - start:
            same = 0
            while same < stop - start:
                byte = clean[start + same]
                if 65 <= byte <= 90:  # A to Z
                    byte += 32
                if byte != headers[begin + same]:
                    break
                same += 1
            if same == stop - start:
                return header
        begin = end
    return -1


@kernel((_READ, _LONGS, _READ, _LONGS, _BYTES, _BYTES, _TABLE, _TABLE, _TOTALS))
def trace(
    text: Array,
    bounds: Array,
    headers: Array,
    header_ends: Array,
    clean: Array,
    words: Array,
    edits: Array,
    sections: Array,
    totals: Array,
) -> None:
    """Clean N notes: note n lies in `text` uint8 from `bounds[n]` to `bounds[n + 1]`, int64 (N + 1,).

    `headers` uint8 are the H section headers in lower case, one behind the other; `header_ends` int64 (H,) ends them.
    Fills
      clean uint8: the clean notes, one behind the other
      words uint8: the words of each note with one blank between them
      edits int32 (E, 3): clean start, source start and length of each segment
      sections int32 (S, 3): number of the header (H: none), start and end in the clean text
      totals int64 (5, N + 1): bytes of clean, bytes of words, words, segments and sections up to each note
    """
    at = word = counted = edit = section = 0  # filled so far
    for note in range(bounds.size - 1):
        first, stop = bounds[note], bounds[note + 1]
        place, wide = first, 0
        start = origin = 0  # where the stretch begins, in points of the source and of the clean text
        mask_end = -1  # point of the clean text behind the last replaced mask
        line = at  # where the line begins in the clean text
        name, body = header_ends.size, 0  # the section that is open: its header, the point where it begins
        apart, wordless = True, True  # between words; before the first
        while place < stop:
            byte = text[place]
            kind = _KINDS[byte]
            space = _space_width(text, place, stop) if kind == _WIDE else 0
            if kind in (_BLANK, _NEWLINE, _RETURN, _SPACE) or space:
                apart = True
            elif apart:
                apart = False
                if not wordless:
                    words[word] = BLANK
                    word += 1
                wordless = False
                counted += 1
            if kind == _PLAIN:
                while place < stop:
                    byte = text[place]
                    if _KINDS[byte] != _PLAIN:  # one blank between two words, as most are, needs no more than this
                        if byte != BLANK or place + 1 == stop or _KINDS[text[place + 1]] != _PLAIN:
                            break
                        counted += 1
                    clean[at] = words[word] = byte
                    at += 1
                    word += 1
                    place += 1
                continue
            # An edit cuts what stands from `cut` to `after`; without one they are equal.
            cut = after = place + 1
            replaced = False
            if kind == _BLANK:
                while after < stop and _KINDS[text[after]] == _BLANK:
                    after += 1
                if after == stop or text[after] == NEWLINE or text[after] == RETURN:
                    cut = place
            elif kind == _RETURN:
                if after < stop and text[after] == NEWLINE:
                    cut = place
            elif kind in (_UNDERSCORE, _OPEN):
                while kind == _UNDERSCORE and after < stop and text[after] == UNDERSCORE:
                    after += 1
                bracket = after if kind == _UNDERSCORE else place
                end = _mask_end(text, bracket, stop)
                replaced = end > bracket or (kind == _UNDERSCORE and after - place == 2)
                after = max(after, end)
                cut = place if replaced else min(after, place + 3)
            elif kind == _COLON:
                header = _header(clean, line, at, headers, header_ends)
                if header >= 0:
                    point = origin + place - first - wide - start
                    begin = point - (at - line)
                    if begin > body or name < header_ends.size:
                        sections[section, 0], sections[section, 1], sections[section, 2] = name, body, begin
                        section += 1
                    name, body = header, point + 1
            elif kind == _WIDE:
                cut = after = place + max(space, 1)
                wide += max(space - 1, 0)
            elif kind == _INSIDE:
                wide += 1
            while place < cut:
                clean[at] = text[place]
                at += 1
                if not apart:
                    words[word] = text[place]
                    word += 1
                place += 1
            if kind == _NEWLINE:
                line = at
            if cut == after:
                continue
            length = cut - first - wide - start
            if length > 0:
                edits[edit, 0], edits[edit, 1], edits[edit, 2] = origin, start, length
                edit += 1
            origin += length
            if replaced:
                for _ in range(3):
                    clean[at] = words[word] = UNDERSCORE
                    at += 1
                    word += 1
                origin += 3
                mask_end = origin
                for inner in range(place, after):
                    wide += _inside(text[inner])
            place = after
            start = after - first - wide
        length = stop - first - wide - start
        if length > 0 or mask_end == origin:  # an empty segment behind a mask at the end says where the source ends
            edits[edit, 0], edits[edit, 1], edits[edit, 2] = origin, start, length
            edit += 1
        sections[section, 0], sections[section, 1], sections[section, 2] = name, body, origin + length
        section += 1
        totals[0, note + 1], totals[1, note + 1], totals[2, note + 1] = at, word, counted
        totals[3, note + 1], totals[4, note + 1] = edit, section
