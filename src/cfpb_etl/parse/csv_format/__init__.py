"""How a CSV file is written: its header, its delimiter, its quotes and the spelling of its values.

Each module is about one question. `parse/csv_rows.py` uses them all to turn rows into complaints.
"""
