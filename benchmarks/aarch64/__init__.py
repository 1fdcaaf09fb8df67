"""Running model files on this CPU and on emulated ones, by edgekit's own runtimes."""
