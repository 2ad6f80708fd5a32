"""How much memory a row group of a parquet file may take, read from the headers of its pages before it is decoded.

The footer states sizes that nobody checks, and a value that stands once in a dictionary may be repeated without end.
The headers of the pages are what a reader goes by. They are structs of Thrift's compact protocol. Sources: Apache
Parquet's `parquet.thrift` and Thrift's `thrift-compact-protocol.md`. Nothing is decompressed here.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Unpacked", "unpacked_sizes"]

_FIRST_BYTES, _MAX_HEADER_BYTES = 1 << 10, 1 << 20
_MAX_PAGES = 1 << 16
_DICTIONARY_PAGE = 2
_FROM_DICTIONARY, _DELTA_BYTE_ARRAY = (2, 8), 7
_BYTES_PER_VALUE = 16
"""Of offsets, indices and levels, or of a number."""
_TYPE, _UNPACKED, _PACKED, _DATA, _DATA_2 = 1, 2, 3, 5, 8
_VALUES, _ENCODING, _ENCODING_2 = 1, 2, 4
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_MAX_DEPTH = 8


@dataclass(frozen=True)
class Unpacked:
    """The bytes that a leaf column of a row group may take.

    Attributes:
        path: Of the column, as the file's metadata names it.
        plain: With every value for itself.
        with_dictionary: With a dictionary and indices; the same as `plain` where the column has none.
    """

    path: str
    plain: int
    with_dictionary: int


def unpacked_sizes(fd: int, group: Any, lengths: Sequence[int], columns: Sequence[str]) -> list[Unpacked]:
    """What the columns of a row group may take.

    Args:
        fd: The file.
        group: pyarrow's metadata of the row group.
        lengths: Of the values of each leaf column that has values of one length, else 0.
        columns: The columns that are read.

    Raises:
        ValueError: A page has no header, or there are too many of them.
    """
    leaves = [(group.column(leaf), lengths[leaf]) for leaf in range(group.num_columns)]
    return [_size(fd, leaf, length) for leaf, length in leaves if leaf.path_in_schema.split(".")[0] in columns]


def _size(fd: int, leaf: Any, length: int) -> Unpacked:
    dictionary, repeated, other, values = 0, 0, 0, 0
    for size, kind, count, encoding in _pages(fd, leaf):
        values += count
        if kind == _DICTIONARY_PAGE:
            dictionary += size
        elif encoding in _FROM_DICTIONARY:
            repeated += count
            other += size
        else:
            other += count * size if encoding == _DELTA_BYTE_ARRAY else size
    each = dictionary + other + values * (_BYTES_PER_VALUE + length)
    if leaf.physical_type != "BYTE_ARRAY":
        return Unpacked(leaf.path_in_schema, each, each)
    plain = each + repeated * dictionary
    return Unpacked(leaf.path_in_schema, plain, each if dictionary else plain)


def _pages(fd: int, leaf: Any) -> Iterator[tuple[int, int, int, int]]:
    """Unpacked bytes, kind, number of values and encoding of each page, as far as a reader gets."""
    place = leaf.data_page_offset
    if leaf.has_dictionary_page and 0 < (first := leaf.dictionary_page_offset) < place:
        place = first
    end, seen = place + leaf.total_compressed_size, 0
    for _ in range(_MAX_PAGES):
        if place >= end or seen >= leaf.num_values:
            return
        header, length = _header(fd, place)
        kind, size, packed = header.get(_TYPE, -1), header.get(_UNPACKED, -1), header.get(_PACKED, -1)
        data, data_2 = header.get(_DATA, {}), header.get(_DATA_2, {})
        count = data.get(_VALUES, 0) or data_2.get(_VALUES, 0)
        if min(size, packed, count) < 0:
            raise ValueError("a page of a negative size")
        yield size, kind, count, data.get(_ENCODING, data_2.get(_ENCODING_2, -1))
        seen += count
        place += length + packed
    raise ValueError(f"a column of more than {_MAX_PAGES:,} pages")


def _header(fd: int, place: int) -> tuple[dict[int, Any], int]:
    """The fields of a page's header, and its length."""
    size = _FIRST_BYTES
    while size <= _MAX_HEADER_BYTES:
        data = os.pread(fd, size, place)
        reader = _Struct(data)
        try:
            return reader.fields(), reader.position
        except IndexError:
            if len(data) < size:
                break
        size *= 8
    raise ValueError("a page without a header")


class _Struct:
    """Reads a struct: numbers and structs are kept by their ids, everything else is passed over."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def fields(self, depth: int = 0) -> dict[int, Any]:
        """The fields by id.

        Raises:
            IndexError: It goes on behind the data.
            ValueError: It is no struct.
        """
        found: dict[int, Any] = {}
        identity = 0
        while head := self._byte():
            kind = head & 15
            identity = identity + (head >> 4) if head >> 4 else self._number()
            found[identity] = self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self._byte()
        if _BYTE < kind < _DOUBLE:
            return self._number()
        if kind == _DOUBLE:
            return self._skip(8)
        if kind == _BINARY:
            return self._skip(self._varint())
        if kind == _STRUCT and depth < _MAX_DEPTH:
            return self.fields(depth + 1)
        if kind in (_LIST, _SET) and depth < _MAX_DEPTH:
            return self._list(depth)
        raise ValueError("a page's header that is none")

    def _list(self, depth: int) -> None:
        head = self._byte()
        count = self._varint() if head >> 4 == 15 else head >> 4
        for _ in range(count):
            self._skip(1) if head & 15 in (_TRUE, _FALSE) else self._value(head & 15, depth + 1)

    def _skip(self, count: int) -> None:
        self.position += count
        if self.position > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        self.position += 1
        return self._data[self.position - 1]

    def _varint(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise ValueError("a number without an end")

    def _number(self) -> int:
        number = self._varint()
        return number >> 1 ^ -(number & 1)
