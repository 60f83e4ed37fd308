"""The loops of TF-IDF over bytes and integers, compiled by numba; `terms.py` holds the story.

Words are found in UTF-8 bytes through `letters` (256,): 0 ends a word, anything else is the byte as it counts. A word's
key is its bytes where they are at most eight, else a hash behind a byte that UTF-8 never uses; then the bytes decide.
An n-gram's key packs the ranks of its words, first word highest: numeric order is the order of the names, and equal
keys are equal n-grams. Hashes only choose where to look; nothing rests on their being different.

Kernels that fill a table return the note they could not start for want of room: let it grow, and call again.
Legend: N notes, T tokens, K words, F features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chartcode.kernels import kernel

Array = np.ndarray[Any, Any]
Notes = tuple[Array, Array]  # words int32 (T,), -1 for a word that is in no n-gram; bounds int64 (N + 1,) of the notes
Form = tuple[int, int, int]  # words of the shortest and the longest n-gram, bits of a word in a key
# Words: slots uint64 (S, 2): key, number; arena uint8: their bytes; starts (K + 1,) in it; tallies int64 (K, 3): count,
# notes, last note; fill int64 (3,): words, bytes, notes so far.
Table = tuple[Array, Array, Array, Array, Array]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: spreads keys by multiplication
LONG = np.uint64(0xFF) << np.uint64(56)  # marks the keys of words longer than eight bytes
FULL = 255  # a sketch cell counts no further
_HALF = np.uint64(32)
_BYTE = np.uint64(8)
_WIDTH = np.uint64(64)
_ONE = np.uint64(1)
_NONE = np.uint64(0)
# Position of the one bit of a power of two, by its product with a de Bruijn sequence: no branches to guess wrong.
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_BIT_SHIFT = np.uint64(58)
_BIT = np.zeros(64, np.int64)
for _place in range(64):
    _BIT[((0x03F79D71B4CB0A89 << _place) & (2**64 - 1)) >> 58] = _place


@kernel()
def _shift_to(size: int) -> Any:
    """By how much to shift 64 bits so that they fall below `size`, a power of two."""
    shift = 64
    while size > 1:
        size >>= 1
        shift -= 1
    return np.uint64(shift)


@kernel()
def _next_word(text: Array, place: int, end: int, letters: Array) -> tuple[int, int, Any]:
    """The next word of two characters or more: (start, stop, key); key 0 where there is none."""
    while place < end:
        letter = letters[text[np.uint64(place)]]
        if letter == 0:
            place += 1
            continue
        start, key, shift = place, _NONE, _NONE
        while letter != 0 and shift < _WIDTH:
            key |= np.uint64(letter) << shift
            shift += _BYTE
            place += 1
            letter = letters[text[np.uint64(place)]] if place < end else letters[0]
        if letter != 0:
            while letter != 0:
                key = (key ^ np.uint64(letter)) * GOLDEN
                key ^= key >> _HALF
                place += 1
                letter = letters[text[np.uint64(place)]] if place < end else letters[0]
            key |= LONG
        lead = text[start]
        if place - start > (1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4):
            return start, place, key
    return end, end, _NONE


@kernel()
def _slot_of_word(table: Table, key: int, text: Array, start: int, stop: int, letters: Array) -> Any:
    """Where the word stands in the table, or the free slot where it belongs."""
    slots, arena, starts, _, _ = table
    mask = slots.shape[0] - 1
    spread = key * GOLDEN
    slot = np.int64(spread ^ (spread >> _HALF)) & mask
    while slots[slot, 0] != _NONE:
        if slots[slot, 0] == key:
            if key < LONG:
                return slot
            word = np.int64(slots[slot, 1])
            at = starts[word]
            if starts[word + 1] - at == stop - start:
                same = True
                for step in range(stop - start):
                    if arena[at + step] != letters[text[start + step]]:
                        same = False
                        break
                if same:
                    return slot
        slot = (slot + 1) & mask
    return slot


@kernel()
def _add_word(table: Table, slot: int, key: int, text: Array, start: int, stop: int, letters: Array) -> Any:
    """A new word in a free slot; its number."""
    slots, arena, starts, _, fill = table
    word = fill[0]
    slots[slot, 0] = key
    slots[slot, 1] = np.uint64(word)
    at = fill[1]
    for step in range(stop - start):
        arena[at + step] = letters[text[start + step]]
    fill[0] = word + 1
    fill[1] = at + stop - start
    starts[word + 1] = fill[1]
    return word


@kernel()
def count_words(table: Table, text: Array, offsets: Array, letters: Array, first: int, notes: Notes) -> Any:
    """The words of the notes from `first` on as numbers, new ones added."""
    slots, arena, _, tallies, fill = table
    words, bounds = notes
    for note in range(first, offsets.size - 1):
        place, end = offsets[note], offsets[note + 1]
        if fill[0] + (end - place + 1) // 3 > slots.shape[0] // 2 or fill[1] + end - place > arena.size:
            return note
        at = bounds[note]
        fill[2] += 1
        while True:
            start, place, key = _next_word(text, place, end, letters)
            if key == _NONE:
                break
            slot = _slot_of_word(table, key, text, start, place, letters)
            if slots[slot, 0] == _NONE:
                word = _add_word(table, slot, key, text, start, place, letters)
            else:
                word = np.int64(slots[slot, 1])
            tally = tallies[np.uint64(word)]
            tally[0] += 1
            tally[1] += tally[2] != fill[2]
            tally[2] = fill[2]
            words[np.uint64(at)] = word
            at += 1
        bounds[note + 1] = at
    return offsets.size - 1


@kernel()
def find_words(table: Table, text: Array, offsets: Array, letters: Array, notes: Notes) -> None:
    """The words of the notes as numbers, -1 where the table does not know them."""
    slots = table[0]
    words, bounds = notes
    for note in range(offsets.size - 1):
        place, end = offsets[note], offsets[note + 1]
        at = bounds[note]
        while True:
            start, place, key = _next_word(text, place, end, letters)
            if key == _NONE:
                break
            slot = _slot_of_word(table, key, text, start, place, letters)
            words[at] = -1 if slots[slot, 0] == _NONE else np.int64(slots[slot, 1])
            at += 1
        bounds[note + 1] = at


@kernel()
def merge_words(table: Table, added: Table, letters: Array, numbers: Array) -> None:
    """Another table's words and tallies added; `numbers` (K,) gets the number here of each word there."""
    slots, _, _, tallies, _ = table
    others, other_arena, other_starts, other_tallies, _ = added
    for source in range(others.shape[0]):
        key = others[source, 0]
        if key == _NONE:
            continue
        other = np.int64(others[source, 1])
        start, stop = other_starts[other], other_starts[other + 1]
        slot = _slot_of_word(table, key, other_arena, start, stop, letters)
        if slots[slot, 0] == _NONE:
            word = _add_word(table, slot, key, other_arena, start, stop, letters)
        else:
            word = np.int64(slots[slot, 1])
        numbers[other] = word
        tallies[word, 0] += other_tallies[other, 0]
        tallies[word, 1] += other_tallies[other, 1]


@kernel()
def rehash(old: Array, new: Array) -> None:
    """Every row of a table into a larger, empty one; column 0 is the key, 0 where a row is free."""
    mask = new.shape[0] - 1
    for source in range(old.shape[0]):
        if old[source, 0] != 0:
            spread = np.uint64(old[source, 0]) * GOLDEN
            slot = np.int64(spread ^ (spread >> _HALF)) & mask
            while new[slot, 0] != 0:
                slot = (slot + 1) & mask
            new[slot] = old[source]


@kernel()
def relabel(words: Array, ranks: Array) -> None:
    """Numbers of words become their alphabetical ranks, -1 for words that are not kept."""
    for place in range(words.size):
        words[place] = ranks[words[place]]


@kernel()
def _room_for_keys(bounds: Array, form: Form) -> Any:
    """A place for the keys of the longest of these notes."""
    longest = 0
    for note in range(bounds.size - 1):
        longest = max(longest, bounds[note + 1] - bounds[note])
    return np.empty(longest * (form[1] - 1), np.int64)


@kernel()
def _ngrams(words: Array, start: int, stop: int, form: Form, keys: Array) -> int:
    """The keys of a note's n-grams of two words or more, into `keys`; how many."""
    low, high, bits = form
    found = 0
    for place in range(start, stop):
        if words[place] < 0:
            continue
        shift = bits * (high - 1)
        key = np.int64(words[place] + 1) << shift
        for size in range(2, high + 1):
            if place + size > stop or words[place + size - 1] < 0:
                break
            shift -= bits
            key |= np.int64(words[place + size - 1] + 1) << shift
            if size >= low:
                keys[np.uint64(found)] = key
                found += 1
    return found


@kernel()
def sketch_ngrams(notes: Notes, form: Form, cells: Array) -> None:
    """How often n-grams of two words or more occur, at most."""
    words, bounds = notes
    keys = _room_for_keys(bounds, form)
    cell_shift = _shift_to(cells.size)
    for note in range(bounds.size - 1):
        for key in keys[: _ngrams(words, bounds[note], bounds[note + 1], form, keys)]:
            cell = np.int64((np.uint64(key) * GOLDEN) >> cell_shift)
            cells[cell] += np.uint8(cells[cell] < FULL)


@kernel()
def count_ngrams(notes: Notes, form: Form, first: int, cells: Array, least: int, table: Array, fill: Array) -> int:
    """Exact counts of the n-grams whose cell holds at least `least`.

    Rows of `table`: key, count, notes, last note. `fill`: n-grams, notes.
    """
    words, bounds = notes
    keys = _room_for_keys(bounds, form)
    cell_shift = _shift_to(cells.size)
    mask = table.shape[0] - 1
    for note in range(first, bounds.size - 1):
        start, stop = bounds[note], bounds[note + 1]
        if 3 * table.shape[0] < 4 * (fill[0] + (stop - start) * (form[1] - 1)):
            return note
        fill[1] += 1
        for key in keys[: _ngrams(words, start, stop, form, keys)]:
            spread = np.uint64(key) * GOLDEN
            if cells[np.int64(spread >> cell_shift)] >= least:
                slot = np.int64(spread ^ (spread >> _HALF)) & mask
                while table[slot, 0] != key:
                    if table[slot, 0] == 0:
                        table[slot, 0] = key
                        fill[0] += 1
                        break
                    slot = (slot + 1) & mask
                row = table[np.uint64(slot)]
                row[1] += 1
                row[2] += row[3] != fill[1]
                row[3] = fill[1]
    return bounds.size - 1


@kernel()
def index_ngrams(keys: Array, columns: Array, table: Array) -> None:
    """n-gram keys (F,) and their columns into a table, rows: key, column."""
    mask = table.shape[0] - 1
    for place in range(keys.size):
        spread = np.uint64(keys[place]) * GOLDEN
        slot = np.int64(spread ^ (spread >> _HALF)) & mask
        while table[slot, 0] != 0:
            slot = (slot + 1) & mask
        table[slot, 0] = keys[place]
        table[slot, 1] = columns[place]


@kernel()
def weigh(
    notes: Notes,
    form: Form,
    index: tuple[Array, Array],
    damped: Array,
    idf: Array,
    rows: tuple[Array, Array, Array],
) -> int:
    """Rows of unit length with rising columns, one a note; `damped` gives the weight of a count. Returns the entries.

    Counts stand in an array of all features with a bit for each feature met: reading the bits back sorts the columns.
    """
    words, bounds = notes
    keys = _room_for_keys(bounds, form)
    column_of_word, table = index
    indices, data, ends = rows
    counts = np.zeros(idf.size, np.int32)
    met = np.zeros((idf.size >> 6) + 1, np.uint64)
    mask = table.shape[0] - 1
    at = 0
    for note in range(bounds.size - 1):
        start, stop = bounds[note], bounds[note + 1]
        for place in range(start, stop):
            column = np.int64(column_of_word[words[place]]) if words[place] >= 0 else -1
            if column >= 0:
                counts[column] += 1
                met[column >> 6] |= _ONE << np.uint64(column & 63)
        for key in keys[: _ngrams(words, start, stop, form, keys)]:
            spread = np.uint64(key) * GOLDEN
            slot = np.int64(spread ^ (spread >> _HALF)) & mask
            while table[slot, 0] != 0:
                if table[slot, 0] == key:
                    column = table[slot, 1]
                    counts[column] += 1
                    met[column >> 6] |= _ONE << np.uint64(column & 63)
                    break
                slot = (slot + 1) & mask
        begin, square = at, 0.0
        for block in range(met.size):
            rest = met[block]
            if rest == _NONE:
                continue
            met[block] = _NONE
            while rest != _NONE:
                lowest = rest & (~rest + _ONE)
                rest ^= lowest
                met_column = np.uint64((block << 6) + _BIT[(lowest * _DE_BRUIJN) >> _BIT_SHIFT])
                value = damped[np.uint64(counts[met_column])] * idf[met_column]
                counts[met_column] = 0
                indices[np.uint64(at)] = met_column
                data[np.uint64(at)] = value
                square += value * value
                at += 1
        if square > 0:
            scale = 1 / np.sqrt(square)
            for entry in range(begin, at):
                data[entry] *= scale
        ends[note] = at
    return at
