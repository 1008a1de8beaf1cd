"""Tests of the emulator, over HTTP as a client uses it."""
