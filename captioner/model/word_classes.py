"""Which words of captions make good keywords: things and actions, not looks and positions.

People search for what a photo shows ("dog", "beach", "running"), seldom for how it looks or how
somebody stands. A word in none of the lists is a thing, and so is one that may be a thing: a swing,
a drink, a shop.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

from captioner.keywords import ACTIONS
from captioner.model.vocabulary import stem

WordClass = Literal["thing", "action"]

# Colours and patterns; sizes, ages and other qualities; postures; positions and parts of the
# picture; what somebody merely has or does with something; numbers and grammar.
_NEVER = frozenset(
    """
aqua beige black blond blonde blue bright brown brunette checkered colored colorful colourful
dark dim faded golden gray green grey khaki light lit maroon multi-colored multicolored neon
pale patterned pink plaid polka purple red reddish redheaded speckled spotted striped tan teal
tri-colored turquoise white yellow

able aged alone antique artificial asleep attached bare barefoot bearded beautiful big bigger
blurred blurry broken busy calm changing choppy classic clean clear close close-up closed
closeup cloudy coiled cold concrete cool covered cozy crowded curled curly curved cute decorated
deep different dimly dirty distant double dressed dried dry dusty elderly electric elegant empty
enclosed entire fallen fancy far fast fat female filled flat floral fluffy foggy folded formal
framed fresh frosted full furry fuzzy giant glazed gold grassy great hairy half happily happy
hard hazy heavily heavy high hilly hot huge hung icy identical indoor indoors industrial
inflatable interesting juicy large larger leafy little long low lush male mature medium messy
metal metallic middle mini misty mixed modern mossy mountainous mounted muddy naked narrow
natural near neat new nice old older open opposite ornate outdoor outdoors packed paved plain
plastic pretty quiet rainy ready reflective religious ripe rocky rough round rural rusty same
sandy seated shady shaggy shallow sharp sheer shiny shirtless silver similar simple single
skinny slim small smaller smooth snow-covered snowcapped snowy soft spiky square stacked steep
still stony straight strange stuffed sunny surrounded tall teenage thick thin tidy tiled tiny
traditional tropical twisted unfinished unusual upright urban various vertical vintage visible
warm wavy wet wide wild wooden woolly worn woven yellowish young younger

approaches approaching arranged attempting attempts balances bending bends brings carries
carrying closes coming covering covers crouches crouching descending does doing dons enjoys
facing gathering gathers gazes gazing gets getting gives giving goes going hanging hangs has
having held helping helps hold holding holds includes keeping keeps laid laying lays leads
leaning leans left lets lies located looking looks lying made makes making moves moving observes
observing overlooked overlooking overlooks parked passes passing peering peers perched perches
placed pointing points posed poses posing prepares preparing pretends puts putting raised raises
reaches reaching receives resting rests rises seems seen sees served serves set sets setting
showing shown shows sits sitting standing stands stares staring starting starts stays stopped
stops stuck taken takes taking tends tries trying turning turns used uses using waits watches
watching wearing wears

ahead amidst amount area atop away back backdrop background backwards beneath body bottom bunch
center corner couple day direction display distance edge end foreground front fun group image
inside item items kind kinds life line lot lots midair midst model name number object objects
one outside own pair part photo photograph picture piece pieces place plenty portion position
print right row scene shape side sideways sort space spot step stuff style surface text thing
things time top type types upside variety view way whole

african all along american among amongst another appears asian both but casts chinese do down
dozen dozens during eight etc european every everyone everything few first five fixing flies
follows forward four german glows grinding grow here herself him himself hind his hits i'm if
indian it's itself japanese just last let like living loaded lone looped many more most mostly
much nine nothing off only other others out over relaxes second seven several shot six snaps
somebody somebody's someone something such ten than themselves then there these third those
three together too travels twelve unknown up upon very wading what while whilst whose will
within without would wrapped you your
    """.split()
)


def word_class(word: str) -> WordClass | None:
    """The class of a word; None if it makes no keyword."""
    if word in _NEVER:
        return None
    if not word.endswith(("ing", "s")):
        return "thing"
    base = stem(word)
    return "action" if word != base and base in _actions() else "thing"


def keyword_form(word: str) -> str:
    """The word as a keyword: an action in its form in -ing."""
    return _actions()[stem(word)] if word_class(word) == "action" else word


@cache
def _actions() -> dict[str, str]:
    """The form in -ing of each action, by its stem."""
    return {stem(word): word for word in sorted(ACTIONS)}
