"""What runs on a device: it loads models, times them and gives their answers. Python 3.9 or newer, numpy, one engine.

`edgekit.devices.parcel` packs these files, and those of a bundle's runner, and the device keeps them by their digest.
"""
