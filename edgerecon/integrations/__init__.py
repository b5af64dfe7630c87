"""edgerecon as a part of other frameworks, one file each; what they need is imported by whoever has it."""
