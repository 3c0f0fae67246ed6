"""A query of the page: the words, filters and example of an address, and back again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from starlette.datastructures import QueryParams

from captioner.errors import UsageError
from captioner.index import Filters

MAX_LENGTH = 2000
"""Of a query, characters."""


@dataclass(frozen=True, slots=True)
class Query:
    """What photos are asked for. Hashable; equal ones have the same results."""

    words: str = ""
    """Empty: all photos, the newest first."""
    exact: bool = False
    folders: tuple[str, ...] = ()
    after: str = ""
    before: str = ""
    camera: str = ""
    near: str = ""
    keywords: tuple[str, ...] = ()
    like: int | None = None
    """The number of a photo that the others should look like."""
    example: str = ""
    """The name of a photo that was dropped onto the page, as `Examples` gave it."""
    lens: str = ""
    confidence: str = ""

    @classmethod
    def of(cls, parameters: QueryParams) -> Self:
        """Read the parameters of an address: q, exact, in, after, before, camera, lens, near,
        confidence, keyword, like, example. Others are ignored.

        Raises
        ------
        UsageError
            If one is too long or not a number.
        """
        if any(len(value) > MAX_LENGTH for value in parameters.values()):
            raise UsageError("the query is too long.", f"Use {MAX_LENGTH} characters at most.")

        def one(name: str) -> str:
            return parameters.get(name, "").strip()

        like = one("like")
        if like and not (like.isascii() and like.isdigit() and len(like) < 18):
            raise UsageError("`like` is not the number of a photo.", "Choose a photo again.")
        return cls(
            words=one("q"),
            exact=bool(one("exact")),
            folders=tuple(filter(None, parameters.getlist("in"))),
            after=one("after"),
            before=one("before"),
            camera=one("camera"),
            lens=one("lens"),
            near=one("near"),
            confidence=one("confidence"),
            keywords=tuple(word for word in parameters.getlist("keyword") if word.strip()),
            like=int(like) if like else None,
            example=one("example"),
        )

    def parameters(self) -> list[tuple[str, str]]:
        """The parameters of an address that `of` reads; none for all photos."""
        every = [
            ("q", self.words),
            ("exact", "1" if self.exact else ""),
            *(("in", folder) for folder in self.folders),
            ("after", self.after),
            ("before", self.before),
            ("camera", self.camera),
            ("lens", self.lens),
            ("near", self.near),
            ("confidence", self.confidence),
            *(("keyword", word) for word in self.keywords),
            ("like", "" if self.like is None else str(self.like)),
            ("example", self.example),
        ]
        return [(name, value) for name, value in every if value]

    def filters(self, roots: Sequence[Path]) -> Filters:
        """The filters, as the search service takes them.

        Parameters
        ----------
        roots
            The folders that were indexed. Others are refused, so that no path of a request is ever
            looked for.

        Raises
        ------
        UsageError
            If a filter is not one.
        """
        folders = [Path(folder) for folder in self.folders]
        for folder in folders:
            if ".." in folder.parts or not any(folder.is_relative_to(root) for root in roots):
                raise UsageError(
                    "that folder was not indexed.",
                    "Choose one in or below a folder of the library.",
                )
        return Filters.parse(
            folders,
            self.after or None,
            self.before or None,
            self.camera or None,
            self.near or None,
            self.keywords,
            self.lens or None,
            self.confidence or None,
        )
