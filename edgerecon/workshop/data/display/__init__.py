"""Pairs of what a scanner shows and what it would show on average over all speckle, made without acoustics.

Textures and structures are drawn as maps of echogenicity, speckle of every grain is filtered noise, and the steps of a
scanner's display follow one after another. A pair takes some hundredths of a second, not the seconds of the acoustic
simulator beside it, and covers grains, looks, grey maps and overlays that the acoustic simulator does not have.
"""
