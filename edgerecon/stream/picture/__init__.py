"""What a stream does to a picture beside running the model: how strongly it acts, and where."""
