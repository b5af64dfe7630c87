"""The GStreamer element ``edgerecon``. Its plug-in path is this folder; GStreamer reads python/."""
