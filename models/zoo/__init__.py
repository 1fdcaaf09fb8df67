"""The entries of the zoo, a file for each family. Loads no framework; `edgekit.models.registry` joins them."""
