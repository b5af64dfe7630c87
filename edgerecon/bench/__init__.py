"""``edgerecon bench``: every model on every runtime of this machine, timed side by side, quality beside speed."""
