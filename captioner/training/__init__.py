"""Making and measuring a model: corpora, features, fitting, metrics, evaluation."""
