"""What runs on the device: numpy and one engine, Python 3.9 or newer. A bundle carries these files as they are."""
