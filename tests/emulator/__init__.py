"""The tests of the emulator, which is asked over HTTP as a client would."""
