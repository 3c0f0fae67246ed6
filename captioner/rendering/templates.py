"""Templates: one Jinja2 environment for all HTML, which escapes whatever comes from files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from captioner.rendering import STATIC

FOLDER = Path(__file__).parent / "templates"


def render(template: str, **values: object) -> str:
    """Render a template of the folder `templates` with some values."""
    return environment().get_template(template).render(values)


def stylesheet(*names: str) -> Markup:
    """Style sheets of the folder `static` as one text, for a page that is a single file."""
    return Markup("".join((STATIC / name).read_text("utf-8") for name in names))


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The environment: autoescape on, unknown names are errors."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    made.filters.update(counted=counted, text=text, percent=percent)
    return made


def text(value: object) -> str:
    r"""A text, file name or path that UTF-8 can encode: other bytes are escaped as \xe9."""
    found = str(value)
    if found.isascii():
        return found
    return (
        "".join(
            f"\\x{ord(one) - 0xDC00:02x}" if 0xDC80 <= ord(one) <= 0xDCFF else one for one in found
        )
        .encode("utf-8", "backslashreplace")
        .decode()
    )


def counted(number: int, singular: str = "photo", plural: str = "") -> str:
    """A number with its noun: "1 photo", "12,000 photos"."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def percent(share: float) -> str:
    """A probability, 0 to 1, as "82 %"."""
    return f"{round(100 * share)} %"


def _printable(value: object) -> object:
    return text(value) if isinstance(value, str) and type(value) is str else value
