"""`captioner export`: the index as JSON, CSV or Parquet, and backups of the database."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from captioner.cli import console, options, outputs
from captioner.errors import CaptionerError, UsageError

if TYPE_CHECKING:
    from captioner.index import Record

Format = Literal["jsonl", "json", "csv", "parquet"]
_EXTENSIONS: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".parquet": "parquet",
}  # fmt: skip
_ROW_GROUP = 1000
"""Records per row group of Parquet; larger ones compress better, and need more memory."""


def export(
    *,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="Format: jsonl, json, csv or parquet; default: from FILE's extension, else jsonl.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to this file instead of stdout (-)."
        ),
    ] = None,
    backup: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Copy the database itself, even while another process writes to it.",
        ),
    ] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write photos with captions of yours as a data set for `captioner train "
            "--extra-data`, into a new folder.",
        ),
    ] = None,
    copy: Annotated[
        bool,
        typer.Option("--copy", help="With --corrections: copy the photos instead of linking them."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
) -> None:
    """Write everything in the index to a file for other programs.

    One record per photo, ordered by path: captions, keywords, camera data, failures.
    docs/export.md explains each column. In CSV, lists are JSON. Parquet needs
    `pip install 'captioner[export]'`. A backup is itself a database that --db accepts. With
    --corrections, a model can learn from what you corrected; docs/training.md explains how.

    \b
    Examples:
      captioner export | jq -r 'select(.status == "failed") | .path'
      captioner export --output photos.csv
      captioner export --backup captioner-backup.db
      captioner export --corrections my-captions
    """
    from captioner.app_paths import database_path

    console.configure_output(quiet=quiet, log_file=log_file)
    path = database or database_path()
    if output == Path("-"):
        output = None
    if copy and not corrections:
        raise UsageError("--copy requires --corrections.", "Name a folder with --corrections.")
    if corrections:
        if format_ or output or backup:
            raise UsageError(
                "--corrections writes a data set, without --format, --output or --backup.",
                "Use it alone.",
            )
        _export_corrections(path, corrections, copy=copy)
        return
    if backup:
        if format_ or output:
            raise UsageError(
                "--backup copies the database, without --format or --output.", "Use it alone."
            )
        _back_up(path, backup, force=force)
        return
    format_ = format_ or _format_of(output)
    if output is None:
        if format_ == "parquet":
            raise UsageError("Parquet is binary.", "Name a file with --output.")
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", newline="")
        _export(path, lambda records: _TEXT_WRITERS[format_](sys.stdout, records))
        return
    with outputs.replacing(output, "--output", force=force) as temporary:
        if format_ == "parquet":
            photos = _export(path, lambda records: _write_parquet(temporary, records))
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                photos = _export(path, lambda records: _TEXT_WRITERS[format_](file, records))
    console.note(f"{console.counted(photos)} written to {console.shown(str(output))}.")


def _format_of(output: Path | None) -> Format:
    """The format of a file's extension.

    Raises
    ------
    UsageError
        If no format has it.
    """
    extension = output.suffix.lower() if output else ""
    if not extension:
        return "jsonl"
    if extension not in _EXTENSIONS:
        known = ", ".join(_EXTENSIONS)
        raise UsageError(
            f"{console.shown(str(output))}: captioner does not write {extension} files.",
            f"Use one of {known}; spreadsheets open .csv. Or name the format with --format.",
        )
    return _EXTENSIONS[extension]


def _export(path: Path, write: Callable[[Iterable[Record]], None]) -> int:
    """Stream all records to a writer and count them."""
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


def _for_json(record: Record) -> dict[str, object]:
    """A record without `path_bytes` if its `path` is exact, as in the JSON of all commands."""
    return {name: value for name, value in record.items() if name != "path_bytes" or value}


def _write_jsonl(file: IO[str], records: Iterable[Record]) -> None:
    for record in records:
        file.write(console.json_text(_for_json(record)) + "\n")


def _write_json(file: IO[str], records: Iterable[Record]) -> None:
    separator = "["
    for record in records:
        file.write(f"{separator}\n{console.json_text(_for_json(record))}")
        separator = ","
    file.write("[]\n" if separator == "[" else "\n]\n")


def _write_csv(file: IO[str], records: Iterable[Record]) -> None:
    import csv

    from captioner.index import Record

    def flat(value: object) -> object:
        value = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
        return console.shown(value) if terminal and isinstance(value, str) else value

    terminal = file.isatty()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(Record.__annotations__)
    for record in records:
        writer.writerow(map(flat, record.values()))


_TEXT_WRITERS: dict[Format, Callable[[IO[str], Iterable[Record]], None]] = {
    "jsonl": _write_jsonl, "json": _write_json, "csv": _write_csv,
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
    remaining = iter(records)
    schema = _schema(pa)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while batch := list(islice(remaining, _ROW_GROUP)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def _schema(pa: Any) -> Any:
    """Columns as in `Record`."""
    text, number, real = pa.string(), pa.int64(), pa.float64()
    types = {
        "alternatives": pa.list_(
            pa.struct([("caption", text), ("source", text), ("confidence", real)])
        ),
        "keywords": pa.list_(pa.struct([("word", text), ("probability", real)])),
        **dict.fromkeys(("file_keywords", "edited_keywords", "rejected_keywords"), pa.list_(text)),
        **dict.fromkeys(("width", "height", "size", "mtime_ns"), number),
        **dict.fromkeys(("confidence", "latitude", "longitude"), real),
    }
    from captioner.index import Record

    return pa.schema([(name, types.get(name, text)) for name in Record.__annotations__])


def _export_corrections(path: Path, folder: Path, *, copy: bool) -> None:
    from captioner.corrections import export
    from captioner.index import Index

    with Index.open(path) as index:
        summary = export(index, folder, copy=copy)
    for reason, paths in (
        ("it is not there", summary.absent),
        ("it has changed since it was indexed; run `captioner index` again", summary.changed),
    ):
        for skipped in paths:
            console.warning(f"skipped {console.shown(skipped)}: {reason}.")
    name = console.shown(str(folder))
    console.note(
        f"{console.counted(summary.photos)} with {console.counted(summary.captions, 'caption')} "
        f"written to {name}. Train with them: captioner train --extra-data {name}"
    )


def _back_up(path: Path, target: Path, *, force: bool) -> None:
    from captioner.index.backup import backup

    with outputs.replacing(target, "--backup", force=force, database=True) as temporary:
        backup(path, temporary)
        size = temporary.stat().st_size
    copy = console.shown(str(target))
    console.note(f"Copied {path} to {copy}: {console.spell_bytes(size)}.")
