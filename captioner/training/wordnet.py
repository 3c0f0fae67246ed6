"""Making the table of concepts, `concepts.json`, from WordNet 3.0: names, synonyms, hypernyms.

`captioner train` needs no WordNet: the table is part of the package, next to this module. To
rebuild it from the concepts that it lists, name a folder with WordNet's `data.noun`, `index.noun`
and `noun.exc` (Debian's package wordnet-base has them in /usr/share/wordnet):

    python -m captioner.training.wordnet /usr/share/wordnet
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("concepts.json")
LICENCE = Path(__file__).with_name("WORDNET-LICENSE.txt")
"""WordNet's licence, which must accompany the table."""
SOURCE = (
    "From WordNet 3.0, Copyright 2006 by Princeton University; selected and amended. "
    "The licence is in WORDNET-LICENSE.txt."
)

# Senses are numbered by frequency. "Bell" means a chime only in its sixth sense, which is not what
# a search for bells is about. The first name of a hypernym may be in a rarer sense, that of a
# concept in any.
_MAX_SENSE, _MAX_SENSE_OF_HYPERNYM, _MAX_SENSE_OF_CONCEPT = 3, 5, 99

# Hypernyms too general to be searched for or to describe a photo, by their first name.
_TOO_GENERAL = frozenset(
    """abstraction; acoustic device; applicator; area; artifact; associate; attachment;
    attribute; barrier; causal agent; chordate; commodity; communication; concoction;
    connection; consumer goods; contestant; conveyance; covering; creation; design; device;
    diapsid; dressing; durables; entity; equipment; establishment; excavation; facility; fare;
    fastener; geographic point; geological formation; group; horizontal surface; implement;
    institution; instrument; instrumentality; kit; lever; lifting device; living thing;
    location; material; matter; measure; measuring instrument; mechanical device; mechanism;
    medium; memory device; natural depression; natural elevation; natural object; nutriment;
    object; obstruction; organism; padding; participant; peer; physical entity; placental;
    plant organ; plant part; point; product; protective covering; psychological feature;
    receptacle; relation; reproductive structure; restraint; rotating mechanism; round shape;
    shape; signal; signaling device; solid; sphere; strengthener; structural member;
    structure; substance; support; supporting structure; surface; thing; vascular plant;
    visual signal; way; white goods; whole; work; workplace""".replace("\n    ", " ").split("; ")
)

# Display names of concepts whose first name in WordNet is not the common one.
_DISPLAY_NAMES = {
    "n01514668": "rooster", "n02108551": "mastiff",
    "n02109961": "husky", "n02134084": "polar bear", "n02325366": "wild rabbit",
    "n02389026": "sorrel horse", "n02395406": "pig", "n02497673": "ring-tailed lemur",
    "n02509815": "red panda", "n02536864": "coho salmon", "n02704792": "amphibious vehicle",
    "n02747177": "trash can", "n02788148": "banister", "n02797295": "wheelbarrow",
    "n02814533": "station wagon", "n02835271": "tandem bicycle", "n02840245": "ring binder",
    "n02892201": "memorial plaque", "n02892767": "bra", "n02930766": "taxi",
    "n02939185": "cauldron", "n02992529": "mobile phone", "n03032252": "movie theater",
    "n03207743": "dishcloth", "n03337140": "file cabinet", "n03345487": "fire truck",
    "n03476684": "hair clip", "n03483316": "hair dryer", "n03492542": "hard disk",
    "n03594734": "jeans", "n03595614": "T-shirt",
    "n03599486": "rickshaw", "n03673027": "ocean liner", "n03691459": "speaker",
    "n03710721": "swimsuit", "n03793489": "computer mouse", "n03832673": "notebook computer",
    "n03854065": "pipe organ", "n03877472": "pajamas", "n03929660": "plectrum",
    "n03954731": "carpenter's plane", "n03983396": "soda bottle", "n03991062": "flowerpot",
    "n04019541": "hockey puck", "n04037443": "race car", "n04116512": "eraser",
    "n04118776": "ruler", "n04243546": "slot machine", "n04355933": "sunglasses",
    "n04367480": "mop", "n04372370": "electric switch", "n04399382": "teddy bear",
    "n04515003": "upright piano", "n04517823": "vacuum cleaner", "n04554684": "washing machine",
    "n04592741": "airplane wing", "n04604644": "rail fence", "n07615774": "popsicle",
    "n07697537": "hot dog", "n07714571": "cabbage", "n07871810": "meatloaf",
    "n09193705": "mountain peak", "n09835506": "baseball player", "n10148035": "bridegroom",
    "n12768682": "horse chestnut", "n13133613": "ear of corn",
}  # fmt: skip

# Further names: today's and colloquial words.
_FURTHER_NAMES = {
    "n02077923": ("seal",), "n02389026": ("horse",), "n02536864": ("salmon",),
    "n02690373": ("airplane", "jet"), "n02892201": ("plaque",), "n02930766": ("cab",),
    "n02988304": ("cd",), "n02992529": ("smartphone",), "n03085013": ("keyboard",),
    "n03272562": ("train",), "n03393912": ("train",), "n03443371": ("wine glass",),
    "n03710637": ("swimsuit",), "n03769881": ("van",), "n03791053": ("motorcycle",),
    "n03800933": ("instrument",), "n03895866": ("train",), "n03991062": ("potted plant",),
    "n04019101": ("vehicle",), "n04026417": ("handbag",), "n04070727": ("fridge",),
    "n04310018": ("train",), "n04404412": ("tv", "television set"), "n04553703": ("sink",),
    "n07892512": ("wine",), "n09193705": ("peak",), "n09332890": ("lake",),
    "n09421951": ("beach",), "n09428293": ("beach", "sea", "ocean"),
}  # fmt: skip

# Hypernyms that may be keywords, for photos that show one of their concepts though it is unclear
# which: from the first name in WordNet to the display name.
_HYPERNYM_NAMES = {
    **{
        name: name
        for name in """airplane antelope apple armor aircraft bag ball basket bear bed beetle bird
        boat bottle bowl box bread bridge building bun bus butterfly cabinet camel camera cap car
        cart cat chair clock clothing coat computer coral crab crocodile crustacean curtain
        cushion cutter dessert dinosaur dog dolphin door duck elephant fabric fence firearm
        fish flower fox frog fruit fungus furniture gate glass glove goat guitar gun hat
        helmet horse insect jacket jar jewelry kangaroo keyboard knife lamp lizard lobster
        lock locomotive lemur monkey motorcycle mug orchid owl pan parrot pen penguin piano
        pistol pot rabbit rodent roof salamander sandwich seal shark sheep ship shirt shoe
        shop shore skirt snake sofa soup spacecraft spider spoon squash squirrel swan
        sweater table telephone tent tool tower train truck turtle van vegetable weapon
        whale wolf ape heron hawk swine""".split()
    },
    "bicycle": "bicycle", "big cat": "big cat", "bovine": "cattle", "crockery": "dishes",
    "drinking vessel": "cup", "edible fruit": "fruit", "footwear": "shoes", "headdress": "hat",
    "home appliance": "appliance", "kitchen appliance": "kitchen appliance",
    "measuring stick": "ruler", "mountain": "mountain", "musical instrument": "musical instrument",
    "percussion instrument": "drum", "signboard": "sign", "spectacles": "glasses",
    "stringed instrument": "string instrument", "timepiece": "clock", "trouser": "trousers",
    "warship": "warship", "watch": "watch", "wind instrument": "wind instrument",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WordNet:
    """The nouns of WordNet: for each synset, by its offset, its lemmas and its hypernyms."""

    lemmas: Mapping[str, tuple[str, ...]]
    parents: Mapping[str, tuple[str, ...]]
    sense: Mapping[tuple[str, str], int]
    """For (lemma in lower case, synset): the number of the sense, 1 for the most frequent."""
    plurals: Mapping[str, tuple[str, ...]]
    """Irregular plurals of a noun: "knives"."""

    @classmethod
    def read(cls, folder: Path) -> WordNet:
        """Read `data.noun`, `index.noun` and `noun.exc`; their format is in WordNet's wndb(5)."""
        lemmas: dict[str, tuple[str, ...]] = {}
        parents: dict[str, tuple[str, ...]] = {}
        instances = set()
        for line in _lines(folder / "data.noun"):
            fields = line.split(" | ")[0].split()
            count = int(fields[3], 16)
            end = 4 + 2 * count
            lemmas[fields[0]] = tuple(word.replace("_", " ") for word in fields[4:end:2])
            pointers = [fields[at : at + 2] for at in range(end + 1, len(fields) - 1, 4)]
            parents[fields[0]] = tuple(to for kind, to in pointers if kind == "@")
            if any(kind == "@i" for kind, _ in pointers):
                instances.add(fields[0])
        sense: dict[tuple[str, str], int] = {}
        for line in _lines(folder / "index.noun"):
            fields = line.split()
            synsets = [s for s in fields[-int(fields[2]) :] if s not in instances]
            name = fields[0].replace("_", " ")
            sense |= {(name, synset): number for number, synset in enumerate(synsets, 1)}
        plurals: dict[str, tuple[str, ...]] = {}
        for line in _lines(folder / "noun.exc"):
            plural, *singulars = line.replace("_", " ").split()
            for singular in singulars:
                plurals[singular] = (*plurals.get(singular, ()), plural)
        return cls(lemmas, parents, sense, plurals)

    def names(self, synset: str, others: Collection[str], own: int) -> list[str]:
        """Names that probably mean a synset, irregular plurals included.

        Parameters
        ----------
        others
            All synsets of the table: a name in a rare sense is dropped if it means one of them in a
            frequent sense. A plane is an airplane, not a carpenter's.
        own
            The rarest sense in which the first name is kept nevertheless.
        """
        out = []
        for number, lemma in enumerate(self.lemmas[synset]):
            name = lemma.lower()
            rank = self.sense.get((name, synset), 1)
            kept = not number and rank <= own
            if kept and rank > _MAX_SENSE:
                kept = all(self.sense.get((name, other), rank) > _MAX_SENSE for other in others)
            if kept or rank <= _MAX_SENSE:
                out.append(lemma)
                out += self.plurals.get(lemma, ())
        return out

    def kept_parents(self, synset: str) -> list[str]:
        """The nearest hypernyms that are not too general."""
        out: list[str] = []
        for parent in self.parents[synset]:
            cut = self.lemmas[parent][0] in _TOO_GENERAL
            out += self.kept_parents(parent) if cut else [parent]
        return list(dict.fromkeys(out))


def _lines(file: Path) -> list[str]:
    # The licence at the top is indented.
    return [line for line in file.read_text("utf-8").splitlines() if not line.startswith("  ")]


def table(wordnet: WordNet, wnids: Sequence[str]) -> dict[str, Any]:
    """The content of `concepts.json`.

    Parameters
    ----------
    wnids
        "n" and the synset's offset, one per concept, in the order of the word head's rows.

    Returns
    -------
    `source`; `concepts`, each with its `wnid`, the display `name`, all `names` that mean it, and
    its `parents` as numbers in `kinds`; `kinds`, the hypernyms, with the same keys, but a `name`
    only if they may be keywords. A hypernym comes after its children.
    """
    order: list[str] = []
    waiting = [wnid[1:] for wnid in wnids]
    while waiting:
        above = list(dict.fromkeys(p for s in waiting for p in wordnet.kept_parents(s)))
        order = [synset for synset in order if synset not in set(above)] + above
        waiting = above
    number = {synset: at for at, synset in enumerate(order)}

    def entry(synset: str, name: str | None, names: Sequence[str]) -> dict[str, Any]:
        shown = {"name": name} if name else {}
        above = [number[parent] for parent in wordnet.kept_parents(synset)]
        return {
            "wnid": f"n{synset}",
            **shown,
            "names": list(dict.fromkeys(names)),
            "parents": above,
        }

    every = {*order, *(wnid[1:] for wnid in wnids)}
    concepts = []
    for wnid in wnids:
        name = _DISPLAY_NAMES.get(wnid, wordnet.lemmas[wnid[1:]][0])
        names = [
            name,
            *wordnet.names(wnid[1:], every, _MAX_SENSE_OF_CONCEPT),
            *_FURTHER_NAMES.get(wnid, ()),
        ]
        concepts.append(entry(wnid[1:], name, names))
    hypernyms = []
    for synset in order:
        names = [
            *wordnet.names(synset, every, _MAX_SENSE_OF_HYPERNYM),
            *_FURTHER_NAMES.get(f"n{synset}", ()),
        ]
        hypernyms.append(entry(synset, _HYPERNYM_NAMES.get(wordnet.lemmas[synset][0]), names))
    return {"source": SOURCE, "concepts": concepts, "kinds": hypernyms}


def main() -> None:
    """Rebuild the table from the folder of WordNet on the command line."""
    wnids = [concept["wnid"] for concept in json.loads(TABLE.read_text("utf-8"))["concepts"]]
    made = table(WordNet.read(Path(sys.argv[1])), wnids)
    TABLE.write_text(json.dumps(made, ensure_ascii=False, indent=0) + "\n", "utf-8")


if __name__ == "__main__":
    main()
