"""The complaints that the emulator serves, generated or recorded, and the files with them."""
