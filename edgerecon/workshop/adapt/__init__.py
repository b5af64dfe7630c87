"""A shipped network adapted to one's own scanner, by recordings without targets.

What the recordings look like is measured; simulated displays that look alike are chosen, and the network learns on from
there. Nothing of the recordings is a target, so that nothing of their speckle can be learnt by heart.
"""
