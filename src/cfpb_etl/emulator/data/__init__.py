"""The complaints and files that the emulator serves: invented ones, or recorded ones."""
