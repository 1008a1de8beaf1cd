"""Tests of the complaints and files that the emulator serves."""
