"""What edgekit does on Android phones, through the user's own ``adb``."""
