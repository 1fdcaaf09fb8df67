"""edgekit: from a trained network to one that is proven on the device."""

__version__ = "0.1.0"
