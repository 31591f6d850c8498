"""`python -m src.runs.reader_study`: make a blinded study of finished runs, and read it back."""
