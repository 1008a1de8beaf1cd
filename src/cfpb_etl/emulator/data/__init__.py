"""The generated or recorded complaints that the emulator serves, and files that contain them."""
