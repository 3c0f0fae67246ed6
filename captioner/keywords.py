"""The order of keywords: things before actions, each most probable first."""

from __future__ import annotations

ACTIONS = frozenset(
    """
    applauding barking bathing begging biting blowing bouncing brushing camping carving
    celebrating chasing cheering chewing clapping climbing competing cooking cracking crashing
    crawling crossing crying cuddling cycling dancing digging dining diving dragging drawing
    driving eating embracing exercising feeding fighting fishing floating flying galloping
    gliding grazing grilling growling hiking hopping hugging hunting jogging juggling jumping
    kicking kissing kneeling knitting laughing leaping lecturing licking lifting listening
    marching meditating mowing nursing parasailing performing petting playing pouring praying
    preaching protesting pulling pushing racing reading repairing riding running sailing
    scratching sewing shaking shaving shooting shouting singing skydiving sleeping smiling
    smoking sniffing snorkeling speaking spinning splashing sprinting stretching studying
    surfing sweeping swimming talking teaching throwing tumbling vacuuming wakeboarding walking
    washing waterskiing weaving whispering windsurfing working wrestling writing yawning yelling
    """.split()
)
"""Words for what people and animals do, in their form in -ing."""


def keyword_order(word: str, probability: float) -> tuple[bool, float, str]:
    """A key to sort keywords by."""
    return word in ACTIONS, -probability, word
