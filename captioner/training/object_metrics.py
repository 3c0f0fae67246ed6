"""Object metrics: keywords and captions against the objects that annotators marked in photos.

CHAIR (Rohrbach et al. 2018, "Object Hallucination in Image Captioning") is the share of the objects
a caption mentions that are not in the photo. Keywords are measured the same way, by precision and
recall. Only words for objects of the annotations are judged: nobody has marked beaches, or running.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from captioner.model.vocabulary import stem, words
from captioner.training.corpora import Example
from captioner.types import Description

KEYWORDS = 5
"""First keywords of a photo that are judged."""

_OBJECT_WORDS = {
    "person": "man men woman women boy girl kid child children baby toddler guy lady people player "
    "skier snowboarder surfer skateboarder rider cyclist bicyclist biker batter pitcher catcher "
    "umpire chef cook couple crowd family team adult teenager soldier officer policeman "
    "fireman bride groom musician singer guitarist dancer runner golfer",
    "bicycle": "bike",
    "car": "taxi cab sedan suv minivan jeep limousine",
    "motorcycle": "motorbike moped scooter",
    "airplane": "plane jet aircraft airliner jetliner biplane",
    "bus": "buses minibus",
    "train": "locomotive subway",
    "truck": "pickup lorry firetruck",
    "boat": "ship sailboat canoe kayak rowboat ferry yacht raft motorboat gondola",
    "traffic light": "stoplight, traffic signal",
    "fire hydrant": "hydrant",
    "bird": "duck gull seagull pigeon parrot owl eagle penguin goose geese swan rooster hen "
    "ostrich flamingo pelican chicken crow sparrow heron robin",
    "cat": "kitten kitty",
    "dog": "puppy pup poodle terrier dachshund labrador retriever bulldog greyhound",
    "horse": "pony colt foal mare",
    "sheep": "lamb ram ewe",
    "cow": "bull calf cattle ox oxen",
    "backpack": "rucksack",
    "umbrella": "parasol",
    "handbag": "purse",
    "tie": "necktie",
    "suitcase": "luggage",
    "skis": "ski",
    "sports ball": "ball",
    "skateboard": "longboard",
    "tennis racket": "racket racquet",
    "wine glass": "wineglass",
    "cup": "mug",
    "couch": "sofa loveseat",
    "potted plant": "houseplant, plant",
    "dining table": "table",
    "tv": "television televisions",
    "cell phone": "cellphone phone smartphone iphone",
    "remote": "remote control",
    "refrigerator": "fridge",
    "donut": "doughnut",
    "cake": "cupcake",
    "teddy bear": "teddy",
    "hair drier": "hairdryer, hair dryer, blow dryer",
    "oven": "stove",
    "laptop": "notebook computer",
    "knife": "knives",
    "mouse": "mice",
    "sandwich": "burger hamburger",
}
"""Other words for COCO's objects, by their names: single words, then phrases after commas.

A word that is as often something else in captions ("glass", "board", "bat") is not among them.
"""
_AMBIGUOUS = {"orange"}
"""Objects that are not judged: captions mention the colour more often than the fruit."""

Stems = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ObjectFigures:
    """How well keywords and captions name the annotated objects; shares × 100."""

    keyword_precision_at_5: float
    """Of the objects that the first five keywords of photos name, the share that is there."""
    keyword_recall_at_5: float
    """Of the annotated objects, the share that the first five keywords name."""
    chair_objects: float
    """CHAIRi: of the objects that captions mention, the share that is not there. What a reference
    caption mentions is there, too."""
    chair_captions: float
    """CHAIRs: share of captions that mention an object that is not there."""
    photos: int
    """Annotated photos that were measured."""

    def shown(self) -> list[tuple[str, str]]:
        """The shares with their usual names, to print."""
        return [
            ("keyword P@5", f"{self.keyword_precision_at_5:.1f}"),
            ("keyword R@5", f"{self.keyword_recall_at_5:.1f}"),
            ("CHAIRi", f"{self.chair_objects:.1f}"),
            ("CHAIRs", f"{self.chair_captions:.1f}"),
        ]


class ObjectWords:
    """Finds which of the annotated objects a text names.

    Parameters
    ----------
    objects
        Names of all objects that are annotated.
    """

    def __init__(self, objects: Iterable[str]) -> None:
        self._named: dict[Stems, str] = {}
        for name in sorted(set(objects) - _AMBIGUOUS):
            for phrase in (name, *_synonyms(name)):
                self._named[_stems(phrase)] = name
        self._longest = max(map(len, self._named), default=0)

    def named(self, text: str) -> frozenset[str]:
        """The objects that a text names; of overlapping names the longest counts."""
        return frozenset(self._found(_stems(text)))

    def _found(self, stems: Stems) -> Iterator[str]:
        start = 0
        while start < len(stems):
            for length in range(min(self._longest, len(stems) - start), 0, -1):
                if name := self._named.get(stems[start : start + length]):
                    yield name
                    start += length - 1
                    break
            start += 1


def measure_objects(
    examples: Sequence[Example],
    descriptions: Sequence[Description],
    annotated: Mapping[str, frozenset[str]],
) -> ObjectFigures | None:
    """Measure descriptions against the annotated objects; None if no photo is annotated.

    Parameters
    ----------
    examples
        The photos of the descriptions, in the same order.
    annotated
        The objects of each annotated photo, by its file name.
    """
    found = ObjectWords(name for names in annotated.values() for name in names)
    keywords_named = keywords_right = present = 0
    mentioned = absent = captions_with_absent = photos = 0
    for example, description in zip(examples, descriptions, strict=True):
        if example.name not in annotated:
            continue
        photos += 1
        there = annotated[example.name] - _AMBIGUOUS
        of_keywords: frozenset[str] = frozenset().union(
            *(found.named(keyword.word) for keyword in description.keywords[:KEYWORDS])
        )
        keywords_named += len(of_keywords)
        keywords_right += len(of_keywords & there)
        present += len(there)
        in_caption = found.named(description.captions[0].text)
        missing = in_caption - there.union(*map(found.named, example.captions))
        mentioned += len(in_caption)
        absent += len(missing)
        captions_with_absent += bool(missing)
    if not photos:
        return None
    return ObjectFigures(
        keyword_precision_at_5=_percent(keywords_right, keywords_named),
        keyword_recall_at_5=_percent(keywords_right, present),
        chair_objects=_percent(absent, mentioned),
        chair_captions=_percent(captions_with_absent, photos),
        photos=photos,
    )


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _synonyms(name: str) -> Iterator[str]:
    first, *phrases = _OBJECT_WORDS.get(name, "").split(", ")
    yield from first.split()
    yield from phrases


def _stems(text: str) -> Stems:
    return tuple(stem(word) for word in words(text))
