"""The complaints that the emulator serves, generated or recorded, and their files."""
