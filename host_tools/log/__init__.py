"""Logs: a raw file that survives anything first; Parquet, CSV and MDF4 from it at the end.

Writing the raw file needs nothing but Python, reading and converting the extra `log`, MDF4 the extra `mdf`.
"""

from host_tools.log.files import (
    FORMS,
    USUAL,
    convert,
    read,
    read_csv,
    read_parquet,
    read_raw,
    repair,
    write_csv,
    write_parquet,
)
from host_tools.log.raw import FORMAT, HEADER, MAGIC, NOTE, ROW, Writer, describe, frames
from host_tools.log.run import UNITS, Array, Run, derive, from_capture

__all__ = [
    "FORMAT",
    "FORMS",
    "HEADER",
    "MAGIC",
    "NOTE",
    "ROW",
    "UNITS",
    "USUAL",
    "Array",
    "Run",
    "Writer",
    "convert",
    "derive",
    "describe",
    "frames",
    "from_capture",
    "read",
    "read_csv",
    "read_parquet",
    "read_raw",
    "repair",
    "write_csv",
    "write_parquet",
]
