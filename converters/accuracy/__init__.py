"""Equivalent weights that quantize better: BatchNorm folded, channels equalized, ranges chosen, biases corrected."""
