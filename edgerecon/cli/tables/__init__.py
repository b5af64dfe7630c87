"""What the command line shows people: rich tables and progress bars. The only place that knows how things look."""
