"""Stage 2: training targets of the heads; the teacher's are saved in the work folder."""

from __future__ import annotations

from safetensors.numpy import load_file, save_file

from captioner.training.encoders import starting_encoder
from captioner.training.heads import Lexicon, TrainingTargets
from captioner.training.run import FeatureExtractor, Run
from captioner.training.teacher import concept_table, teacher_probabilities


def training_targets(run: Run, lexicon: Lexicon) -> TrainingTargets:
    """Labels of the training photos, then of the concepts' samples."""
    if not run.samples:
        return TrainingTargets.of(run.train, lexicon, objects=run.objects)
    file = run.work / "concepts.safetensors"
    if run.resume and file.is_file():
        probabilities = load_file(file)["concepts"]
    else:
        run.report(f"Distilling {len(run.samples):,} concepts from the teacher.")
        teacher = starting_encoder(run.config.teacher, run.config.encoder.size)
        extractor = FeatureExtractor.of(run, teacher)
        table = concept_table(run.samples)
        probabilities = teacher_probabilities(extractor, run.samples, run.train, table)
        save_file({"concepts": probabilities}, file)
    return TrainingTargets.of((*run.train, *run.samples), lexicon, probabilities, run.objects)
