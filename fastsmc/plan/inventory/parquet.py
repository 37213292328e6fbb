"""A table of an inventory from Parquet, by pyarrow, its size checked before its columns are read."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsmc.errors import InputError
from fastsmc.files.csv_text import MOST_FIELD
from fastsmc.files.packed import Refused
from fastsmc.files.source import Source
from fastsmc.plan.inventory.columns import Columns, Spec, check_names, check_size, columns_of

_MOST_BYTES = 1 << 30
"""Bytes that the columns of a file may have, unpacked."""


def columns_of_parquet(source: Source, specs: Mapping[str, Spec], file: str) -> Columns:
    """The columns of a Parquet file.

    Raises:
        InputError: pyarrow is not installed; columns that are none of the table.
        Refused: a file that is damaged or too large.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        msg = f"{file} is Parquet: install fastsmc[parquet], or save it as CSV"
        raise InputError(msg) from None
    try:
        data = source.all()
        parquet = pq.ParquetFile(io.BytesIO(data))
        meta, schema = parquet.metadata, parquet.schema_arrow
        names = schema.names
        check_names(names, specs, file)
        check_size({}, meta.num_rows, file)
        n_byte = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        if n_byte > _MOST_BYTES:
            msg = f"its columns have {n_byte >> 20} MiB; at most {_MOST_BYTES >> 20} are read"
            raise Refused(msg)
        texts = {name for name in names if specs[name].type == "text"}
        once = [name for name in texts if pa.types.is_string(schema.field(name).type)]  # each value is read once
        table = pq.ParquetFile(io.BytesIO(data), read_dictionary=once).read(use_threads=False)
        columns = {name: _text(table[name]) if name in texts else table[name].to_numpy() for name in names}
    except (pa.ArrowException, OSError, ValueError, MemoryError, TypeError) as error:
        first = " ".join(str(error).split())[:200]
        msg = f"cannot be read as Parquet ({first}): write it again"
        raise Refused(msg) from error
    return columns_of(columns, specs, file)


def _text(column: Any) -> NDArray[Any]:
    """A column of text, whose values are read once each; "" where there is none."""
    parts: list[NDArray[Any]] = [np.zeros(0, "U1")]
    for chunk in column.chunks:
        if not hasattr(chunk, "dictionary"):
            parts.append(np.array(chunk.to_pylist(), object))
            continue
        values = ["", *("" if value is None else value for value in chunk.dictionary.to_pylist())]
        if not all(isinstance(value, str) for value in values):
            return np.array(column.to_pylist(), object)
        if max(map(len, values)) > MOST_FIELD:
            msg = f"a text of over {MOST_FIELD} characters: none is taken"
            raise Refused(msg)
        at = np.array(chunk.indices.fill_null(-1)) + 1
        parts.append(np.array(values)[at])
    if any(part.dtype == object for part in parts):
        return np.array([value for part in parts for value in part.tolist()], object)
    return np.concatenate(parts)
