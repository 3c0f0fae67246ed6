"""The HTML page of an evaluation: its figures, and photos with their captions and references.

The page is a single file: photos are embedded as small JPEGs, there is no script, and its content
security policy forbids it to load anything.
"""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from captioner.photos.decode import upright
from captioner.training.corpora import Example
from captioner.training.evaluation import MODEL, Evaluation
from captioner.types import Description

SIDE = 320
"""Longest side of an embedded photo, pixels."""
BARS = 24
"""Of the histogram; the last one includes everything beyond its end."""

Row = tuple[Example, Description, float]
"""A photo with its references, the model's description, and the CIDEr of its caption."""


def sheet(
    evaluation: Evaluation, *, title: str, about: Sequence[str], count: int = 24, seed: int = 0
) -> str:
    """Make the page: all figures, then the best photos by CIDEr, some in between, and the worst.

    Parameters
    ----------
    title
        Of the page: data and split.
    about
        Lines below the title: model, commands, remarks.
    count
        Photos in each of the three groups; fewer if there are not enough.
    seed
        Of the sample in between.
    """
    cider = evaluation.scores.photo_cider
    rows = [
        (example, description, cider[example.name])
        for example, description in zip(evaluation.examples, evaluation.descriptions, strict=True)
    ]
    rows.sort(key=lambda row: (-row[2], row[0].name))
    each = min(count, max(1, len(rows) // 3))
    best, middle, worst = rows[:each], rows[each:-each], rows[each:][-each:]
    between = sorted(
        random.Random(seed).sample(middle, min(each, len(middle))),
        key=lambda row: -row[2],
    )
    groups = [
        ("best", "The best", f"The {len(best)} captions with the highest CIDEr.", best),
        ("between", "In between", f"{len(between)} of the others, at random.", between),
        ("worst", "The worst", f"The {len(worst)} captions with the lowest CIDEr.", worst),
    ]
    groups = [group for group in groups if group[3]]
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, _, _ in groups)
    return "".join(
        [
            HEAD.format(title=_text(title), style=STYLE),
            f"<header><h1>{_text(title)}</h1>",
            *(f"<p>{_text(line)}</p>" for line in about),
            f"</header><nav>{links}</nav><main>",
            _figures(evaluation),
            *(_group(*group) for group in groups),
            "</main></body></html>\n",
        ]
    )


def _figures(evaluation: Evaluation) -> str:
    scores, recall = evaluation.scores, evaluation.recall
    captions = [
        ("CIDEr", f"{scores.cider:.1f}"),
        *((f"BLEU-{n}", f"{value:.1f}") for n, value in enumerate(scores.bleu, 1)),
        ("ROUGE-L", f"{scores.rouge:.1f}"),
        *([("METEOR", f"{scores.meteor:.1f}")] if scores.meteor is not None else []),
        ("photos", f"{len(scores.photo_cider):,}"),
        ("distinct captions", f"{scores.different_captions:,}"),
        ("distinct words", f"{scores.words_used:,}"),
    ]
    search = [
        ("R@1", f"{recall.at_1:.1f}"),
        ("R@5", f"{recall.at_5:.1f}"),
        ("R@10", f"{recall.at_10:.1f}"),
        ("median rank", f"{recall.median_rank:g}"),
    ]
    parts = [
        "<section><h2>Captions</h2>",
        _tiles(captions),
        f"<p class=note>{_text(scores.note)}</p>" if scores.note else "",
        _histogram(list(scores.photo_cider.values())),
        f"<h2>Search</h2><p class=note>Each of {recall.queries:,} reference captions as a query:"
        f" how high its own photo ranks with {MODEL}.</p>",
        _tiles(search),
    ]
    for file, precisions in evaluation.precisions.items():
        lines = "".join(
            f"<tr><td>{_text(ranking)}</td><td>{precision.mean_average:.1f}</td>"
            f"<td>{precision.at_5:.1f}</td><td>{precision.queries:,}</td></tr>"
            for ranking, precision in precisions.items()
        )
        parts.append(
            f"<table><tr><th>{_text(Path(file).name)}</th><th>mAP</th><th>P@5</th><th>queries</th></tr>"
            f"{lines}</table>"
        )
    if objects := evaluation.objects:
        parts += [
            f"<h2>Objects</h2><p class=note>Keywords and captions of {objects.photos:,} photos "
            "against the objects that annotators have marked.</p>",
            _tiles(objects.shown()),
        ]
    return "".join([*parts, "</section>"])


def _tiles(figures: Iterable[tuple[str, str]]) -> str:
    tiles = (f"<div><dt>{_text(name)}</dt><dd>{value}</dd></div>" for name, value in figures)
    return f"<dl class=tiles>{''.join(tiles)}</dl>"


def _histogram(values: Sequence[float], end: float = 240) -> str:
    """Histogram of the photos' CIDEr, as SVG."""
    width = end / BARS
    counts = [0] * BARS
    for value in values:
        counts[min(BARS - 1, int(value / width))] += 1
    bars = "".join(
        f'<rect x="{10 * n + 1}" y="{60 - 60 * count / max(counts):.1f}" width="8"'
        f' height="{60 * count / max(counts):.1f}" rx="1"><title>CIDEr {n * width:.0f}'
        f"{'+' if n == BARS - 1 else f' to {(n + 1) * width:.0f}'}: {count}</title></rect>"
        for n, count in enumerate(counts)
    )
    marks = "".join(
        f'<text x="{10 * n}" y="72">{n * width:.0f}</text>' for n in range(0, BARS, BARS // 4)
    )
    return (
        f'<figure><svg viewBox="0 0 {10 * BARS} 76" role="img">{bars}{marks}</svg>'
        "<figcaption>Photos by the CIDEr of their caption</figcaption></figure>"
    )


def _group(name: str, heading: str, explanation: str, rows: Sequence[Row]) -> str:
    cards = "".join(map(_card, rows))
    return (
        f'<section id="{name}"><h2>{heading}</h2><p class=note>{explanation}</p>'
        f"<div class=cards>{cards}</div></section>"
    )


def _card(row: Row) -> str:
    example, description, cider = row
    caption = description.captions[0]
    keywords = "".join(
        f'<li title="{keyword.probability:.0%}" style="--p:{keyword.probability:.2f}">'
        f"{_text(keyword.word)}</li>"
        for keyword in description.keywords
    )
    references = "".join(f"<li>{_text(reference)}</li>" for reference in example.captions)
    return (
        f'<article><img src="{_thumbnail(example)}" alt="">'
        f"<div class=caption><p>{_text(caption.text)}</p></div>"
        f"<p class=measures><b>CIDEr {cider:.0f}</b>"
        f"<span>confidence {caption.confidence:.0%}</span></p>"
        f"<ul class=keywords>{keywords}</ul><ul class=references>{references}</ul>"
        f"<p class=name>{_text(example.name)}</p></article>"
    )


def _thumbnail(example: Example) -> str:
    with Image.open(example.path) as image:
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
        small = upright(image)
        small.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        small.save(file, "JPEG", quality=80, icc_profile=small.info.get("icc_profile"))
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _text(text: str) -> str:
    """Escape text for HTML; bytes of a file name that are not UTF-8 become \\x escapes."""
    return escape(text.encode("utf-8", "backslashreplace").decode())


HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head><body>
"""

STYLE = """
:root{color-scheme:light dark;--page:#f6f5f2;--card:#fff;--ink:#1d1f21;--soft:#6a6f75;
--line:#e2e0da;--accent:#0b6e6e}
@media(prefers-color-scheme:dark){:root{--page:#16181a;--card:#1f2225;--ink:#e9e7e2;
--soft:#9aa0a6;--line:#33373b;--accent:#5cc3bd}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
header,main{max-width:80rem;margin:auto;padding:0 1.5rem}
header{padding-top:2.5rem;padding-bottom:1rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .5rem;letter-spacing:-.02em}
header p{margin:0;color:var(--soft);overflow-wrap:anywhere}
nav{position:sticky;top:0;z-index:1;background:var(--page);border-bottom:1px solid var(--line);
padding:.6rem max(1.5rem,calc((100% - 77rem)/2));display:flex;gap:1.5rem}
a{color:var(--accent);text-decoration:none;font-weight:600}
a:hover{text-decoration:underline}
section{margin:2rem 0 3rem;scroll-margin-top:3rem}
h2{font-size:1.25rem;margin:1.5rem 0 .25rem}
.note{margin:.25rem 0 .75rem;color:var(--soft)}
.tiles{display:flex;flex-wrap:wrap;gap:.6rem;margin:.75rem 0}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:.6rem;
padding:.5rem .9rem;min-width:6rem}
dt{color:var(--soft);font-size:.8rem}
dd{margin:0;font-size:1.45rem;font-weight:600;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.35rem 1rem .35rem 0;border-bottom:1px solid var(--line);text-align:right}
th{color:var(--soft);font-size:.8rem;font-weight:400}
th:first-child,td:first-child{text-align:left;padding-right:2rem}
figure{margin:1.25rem 0;max-width:34rem}
svg{width:100%;display:block;overflow:visible}
svg rect{fill:var(--accent)}
svg text{fill:var(--soft);font-size:7px}
figcaption{color:var(--soft);font-size:.85rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:1.1rem}
article{background:var(--card);border:1px solid var(--line);border-radius:.8rem;overflow:hidden;
display:flex;flex-direction:column;padding-bottom:.9rem;break-inside:avoid}
article>*{margin-left:1rem;margin-right:1rem}
article img{margin:0;width:100%;aspect-ratio:4/3;object-fit:contain;
background:color-mix(in srgb,var(--ink) 6%,var(--card))}
.caption p{font-size:1.08rem;font-weight:600;line-height:1.35;margin:.9rem 0 .4rem}
.measures{display:flex;justify-content:space-between;margin-top:0;margin-bottom:.6rem;
color:var(--soft);font-size:.85rem;font-variant-numeric:tabular-nums}
.measures b{color:var(--accent)}
ul{padding:0;margin-top:0;margin-bottom:.7rem;list-style:none}
.keywords{display:flex;flex-wrap:wrap;gap:.3rem}
.keywords li{font-size:.8rem;padding:.05rem .55rem;border-radius:1rem;border:1px solid var(--line);
background:color-mix(in srgb,var(--accent) calc(var(--p)*35%),var(--card))}
.references{border-top:1px solid var(--line);padding-top:.6rem;color:var(--soft);
font-size:.88rem;line-height:1.4}
.references li+li{margin-top:.3rem}
.name{margin-top:auto;margin-bottom:0;color:var(--soft);font-size:.75rem;overflow-wrap:anywhere}
@media print{nav{display:none}body{background:none}}
"""
