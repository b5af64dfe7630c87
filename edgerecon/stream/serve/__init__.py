"""Many streams, on one machine or many: ``edgerecon serve``."""
