"""The layers of Boltzmann machines that a training knows by name. It loads no framework."""

STANDARDIZED, HIDDEN, VISIBLE = "standardized", "hidden", "visible"
"""Layers of `edgekit.models.boltzmann.rbm` whose values a training sets by itself."""
SIX = 6.0
"""What the layer `VISIBLE` multiplies ratings by."""
