"""Reading model files without running them, and writing the card into them. Every file is treated as untrusted."""
