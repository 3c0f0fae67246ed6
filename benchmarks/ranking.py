"""(i) Ablation of the search ranking: mAP of queries with known answers."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import common
from captioner.execution import describe
from captioner.model import DescribeOptions, load
from captioner.model.query import load_planner
from captioner.photos.walk import walk
from captioner.training.evaluation import by_vectors
from captioner.training.metrics import query_precision, read_queries
from captioner.types import Description

WORDS_ONLY = {"joint_short": 0.0, "joint_long": 0.0}
ROWS: dict[str, dict[str, float]] = {
    "as chosen": {},
    "without the joint space": WORDS_ONLY,
    "without concepts if captions have a word": {"concepts": 0.0},
    "concepts instead of words": {**WORDS_ONLY, "concepts": 1.0},
    "joint space alone": {"joint_short": 1.0, "joint_long": 1.0},
}


def main() -> None:
    """Describe a folder's photos and print mAP and P@5 of each ranking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--queries", type=Path, required=True, metavar="FILE")
    parser.add_argument("--model", type=Path, metavar="FOLDER")
    parser.add_argument("--json", action="store_true", help="one line of JSON per row")
    options = parser.parse_args()
    queries = read_queries(options.queries)
    described = [
        each
        for each in describe(
            walk([options.photos]), load(DescribeOptions(bundle=options.model, beam_width=1))
        )
        if isinstance(each, Description)
    ]
    names = [each.photo.path.name for each in described]
    rows: list[common.Row] = []
    for name, settings in ROWS.items():
        ranking = by_vectors(load_planner(options.model, settings)[1], described)
        found = query_precision(ranking, names, queries)
        rows.append({"ranking": name, "mAP": found.mean_average, "P@5": found.at_5})
    notes = [f"{found.queries} queries, {len(described)} photos; the model alone, without texts"]
    common.report("Ranking", rows, notes, as_json=options.json)


if __name__ == "__main__":
    common.run(main)
