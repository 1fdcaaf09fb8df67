"""Measuring model files: accuracy, agreement, latency, memory. Functions that return frozen results."""
