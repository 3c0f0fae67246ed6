"""`captioner export`: the index for other programs, and a copy of it to be safe."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from captioner.cli import console, options
from captioner.errors import CaptionerError, UsageError
from captioner.system.paths import forbidden

if TYPE_CHECKING:
    from captioner.index import Record

Format = Literal["jsonl", "csv", "parquet"]
_ENDINGS: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet",
}  # fmt: skip
_AT_ONCE = 1000
"""Records that Parquet takes together; more at once compress better, and need more memory."""


def export(
    *,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="As jsonl, csv or parquet; left out, as FILE ends.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file, not to stdout."),
    ] = None,
    backup: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Copy the database itself, even while it is written to."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file where there is one.")
    ] = False,
    database: options.Database = None,
) -> None:
    """Write all that the index knows of its photos, for other programs.

    A record a photo, in the order of their paths: captions, keywords, what the camera wrote,
    failures. docs/export.md explains each column. In CSV, lists are JSON. Parquet needs
    `pip install 'captioner[export]'`. A backup is a database like the one it was made from.

    \b
    Examples:
      captioner export | jq -r 'select(.status == "failed") | .path'
      captioner export --output photos.csv
      captioner export --backup captioner-backup.db
    """
    from captioner.places import database_path

    path = database or database_path()
    if backup:
        if format_ or output:
            raise UsageError("--backup copies the database as it is.", "Give it alone.")
        _back_up(path, backup, force=force)
        return
    format_ = format_ or _ENDINGS.get(output.suffix.lower() if output else "", "jsonl")
    if output is None:
        if format_ == "parquet":
            raise UsageError("Parquet is no text for stdout.", "Name a file with --output.")
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", newline="")
        _export(path, lambda records: _TEXTS[format_](sys.stdout, records))
        return
    with _replacing(output, path, force=force) as temporary:
        if format_ == "parquet":
            photos = _export(path, lambda records: _write_parquet(temporary, records))
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                photos = _export(path, lambda records: _TEXTS[format_](file, records))
    console.note(f"{console.counted(photos)} written to {console.shown(str(output))}.")


def _export(path: Path, write: Callable[[Iterable[Record]], None]) -> int:
    """Hand all records to a writer, one at a time, and count them."""
    from captioner.index import Index

    photos = 0

    def counted(records: Iterable[Record]) -> Iterator[Record]:
        nonlocal photos
        for record in records:
            photos += 1
            yield record

    with Index.open(path) as index, closing(index.records()) as records:
        write(counted(records))
    return photos


def _write_jsonl(file: IO[str], records: Iterable[Record]) -> None:
    for record in records:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _write_csv(file: IO[str], records: Iterable[Record]) -> None:
    import csv

    from captioner.index import Record

    def flat(value: object) -> object:
        return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value

    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Record.__annotations__)
    for record in records:
        writer.writerow(map(flat, record.values()))


_TEXTS: dict[Format, Callable[[IO[str], Iterable[Record]], None]] = {
    "jsonl": _write_jsonl, "csv": _write_csv,
}  # fmt: skip


def _write_parquet(file: Path, records: Iterable[Record]) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise CaptionerError(
            "writing Parquet needs pyarrow, which is not installed.",
            "Install it with: pip install 'captioner[export]'",
        ) from None
    rest = iter(records)
    schema = _schema(pa)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while some := list(islice(rest, _AT_ONCE)):
            writer.write_batch(pa.RecordBatch.from_pylist(some, schema))


def _schema(pa: Any) -> Any:
    """Columns as in `Record`."""
    text, number, real = pa.string(), pa.int64(), pa.float64()
    types = {
        "alternatives": pa.list_(pa.struct([("caption", text), ("source", text), ("score", real)])),
        "keywords": pa.list_(pa.struct([("word", text), ("probability", real)])),
        "file_keywords": pa.list_(text),
        **dict.fromkeys(("width", "height", "size", "mtime_ns"), number),
        **dict.fromkeys(("score", "latitude", "longitude"), real),
    }
    from captioner.index import Record

    return pa.schema([(name, types.get(name, text)) for name in Record.__annotations__])


def _back_up(path: Path, target: Path, *, force: bool) -> None:
    from captioner.index.backup import backup

    with _replacing(target, path, force=force) as temporary:
        backup(path, temporary)
        size = temporary.stat().st_size
    copy = console.shown(str(target))
    console.note(f"{copy} holds all of {path} as it is now: {console.spell_bytes(size)}.")


@contextmanager
def _replacing(file: Path, database: Path, *, force: bool) -> Iterator[Path]:
    """A file to write in the place of another, which it becomes once it is complete."""
    name = console.shown(str(file))
    if reason := forbidden(file):
        raise UsageError(f"{name} {reason}", "Name another file.")
    file = file.resolve()
    if file == database.resolve():
        raise UsageError(f"{name} is the database itself.", "Name another file.")
    if file.with_name(f"{file.name}-wal").exists():  # it would be read into what replaces the file
        raise UsageError(f"{name} is a database in use.", "Name another file.")
    if file.exists() and not file.is_file():
        raise UsageError(f"{name} is no file.", "Name a file.")
    if file.exists() and not force:
        raise UsageError(f"{name} is there already.", "Name another file, or add --force.")
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        temporary.open("xb").close()
        yield temporary
        temporary.replace(file)
    except OSError as error:
        raise CaptionerError(
            f"{name} cannot be written: {error.strerror or error}.", "Name another file."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
