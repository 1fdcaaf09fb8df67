"""Damaged files, kills and hostile machines: what tests and `make fuzz` throw at edgekit."""
