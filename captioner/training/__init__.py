"""Training and evaluation of models: corpora, features, the training loop, stages, metrics."""

from captioner import offline

offline.prepare()
