"""The stages of a training run, in order, each a function from typed inputs to a typed result.

`vocabulary` → `targets` → `encoder` → `heads` → `decoders` → `selection` → `writing`. `parts` has
what captions are generated with meanwhile.
"""
