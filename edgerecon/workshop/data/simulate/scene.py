"""Random tissue: what scatters, how strongly, and how it moves.

A scene is an echogenicity map in dB (0 dB = background tissue) over the field of view and a margin, plus scatterers
that are the same in every draw (wires and specular sheets). Diffuse scatterers are drawn anew for every speckle
realisation: uniform positions, strength ±σ with σ² the local echogenicity, so that the echo is fully developed speckle.
Lengths are in units of the image side ("sides"): x ∈ [−0.5, 0.5], y ∈ [0, 1] from the first image row.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

MARGIN = 0.06  # sides of tissue simulated beyond the image on every side
RESOLUTION = 512  # map pixels across the image and both margins
FLOOR_DB = -70.0

Array = NDArray[np.float64]


@dataclass
class Scene:
    """One random scene.

    Attributes:
        echogenicity_db: (RESOLUTION, RESOLUTION) float32 over the image and its margin.
        wires: (n, 3) columns x, y, strength in dB above background speckle; same in every draw.
        vessels: moving tubes and discs, drawn into the map at their resting radius.
        drift: amplitude (x, y) of slow whole-tissue motion, in sides. heart_rate: beats per second.
        parameters: the scene's recipe, for HDF5 attributes.
    """

    echogenicity_db: NDArray[np.float32]
    wires: Array
    vessels: list[Vessel] = field(default_factory=list)
    drift: tuple[float, float] = (0.0, 0.0)
    heart_rate: float = 1.0
    parameters: dict[str, float] = field(default_factory=dict)

    def strength(self, x: Array, y: Array) -> Array:
        """Local scattering standard deviation (1 at 0 dB) at material positions, bilinear in dB."""
        scale = RESOLUTION / (1 + 2 * MARGIN)
        rows, columns = (y + MARGIN) * scale - 0.5, (x + 0.5 + MARGIN) * scale - 0.5
        db = map_coordinates(self.echogenicity_db, [rows, columns], order=1, mode="nearest")
        return np.asarray(10 ** (db.astype(np.float64) / 20))

    def move(self, x: Array, y: Array, seconds: float) -> tuple[Array, Array]:
        """Where material points are at a time: vessel walls pulse, blood flows, the whole drifts."""
        for vessel in self.vessels:
            x, y = vessel.move(x, y, seconds, self.heart_rate)
        sway = np.sin(2 * np.pi * 0.3 * seconds)
        return x + self.drift[0] * sway, y + self.drift[1] * sway

    def power(self, size: int, margin: int, seconds: float) -> NDArray[np.float32]:
        """Echogenicity as power at a time, on the image's pixels and ``margin`` around: (size + 2·margin,)*2, each the
        mean of 2 × 2 points."""
        axis = (np.arange(2 * (size + 2 * margin)) + 0.5) / (2 * size) - margin / size
        x, y = np.meshgrid(axis - 0.5, axis)
        sway = np.sin(2 * np.pi * 0.3 * seconds)
        x, y = x.ravel() - self.drift[0] * sway, y.ravel() - self.drift[1] * sway
        for vessel in reversed(self.vessels):
            x, y = vessel.rest(x, y, seconds, self.heart_rate)
        power = (self.strength(x, y) ** 2).reshape(axis.size, axis.size)
        return np.asarray(power.reshape(axis.size // 2, 2, axis.size // 2, 2).mean(axis=(1, 3)), np.float32)


@dataclass(frozen=True)
class Vessel:
    """A blood vessel: a disc (``tilt`` None) or a tube through (x, y) at a tilt; lengths in sides.

    The wall pulses by the fraction ``pulse`` of the radius; tissue outside keeps its area. In a tube, blood moves along
    the axis with a parabolic profile of peak ``speed`` sides a second.
    """

    x: float
    y: float
    radius: float
    tilt: float | None
    pulse: float
    speed: float
    blood_db: float

    def _frame(self, x: Array, y: Array) -> tuple[Array, Array]:
        angle = self.tilt or 0.0
        dx, dy = x - self.x, y - self.y
        return dx * np.cos(angle) + dy * np.sin(angle), -dx * np.sin(angle) + dy * np.cos(angle)

    def distance(self, x: Array, y: Array) -> Array:
        """Distance from the axis, in sides."""
        along, across = self._frame(x, y)
        return np.hypot(along, across) if self.tilt is None else np.abs(across)

    def _radius(self, seconds: float, heart_rate: float) -> float:
        beat = (0.5 - 0.5 * np.cos(2 * np.pi * heart_rate * seconds)) ** 2
        return float(self.radius * (1 + self.pulse * beat))

    def _stretch(self, x: Array, y: Array, old: float, new: float) -> tuple[Array, Array, Array]:
        """Along, across and distance after the wall went from radius ``old`` to ``new``, area preserved outside."""
        along, across = self._frame(x, y)
        rho = np.maximum(self.distance(x, y), 1e-9)
        outside = np.sqrt(np.maximum(rho**2 + new**2 - old**2, 0))
        factor = np.where(rho < old, new / old, outside / rho)
        return along * (factor if self.tilt is None else 1.0), across * factor, rho

    def _back(self, along: Array, across: Array) -> tuple[Array, Array]:
        cosine, sine = np.cos(self.tilt or 0.0), np.sin(self.tilt or 0.0)
        return self.x + along * cosine - across * sine, self.y + along * sine + across * cosine

    def move(self, x: Array, y: Array, seconds: float, heart_rate: float) -> tuple[Array, Array]:
        """From the resting position to the one at a time; the blood of a tube wraps around at its ends."""
        along, across, rho = self._stretch(x, y, self.radius, self._radius(seconds, heart_rate))
        if self.tilt is not None:
            flow = self.speed * seconds * (1 - (rho / self.radius) ** 2)
            span = 1 + 2 * MARGIN
            along = np.where(rho < self.radius, (along + flow + span / 2) % span - span / 2, along)
        return self._back(along, across)

    def rest(self, x: Array, y: Array, seconds: float, heart_rate: float) -> tuple[Array, Array]:
        """The inverse of ``move`` but for the flow: blood is alike all along its vessel."""
        along, across, _ = self._stretch(x, y, self._radius(seconds, heart_rate), self.radius)
        return self._back(along, across)


def coordinates() -> tuple[Array, Array]:
    """(x, y) of every cell of the map, in widths of the field of view; x is 0 in the middle, y is 0 at the probe."""
    axis = (np.arange(RESOLUTION) + 0.5) / RESOLUTION * (1 + 2 * MARGIN) - MARGIN
    x, y = np.meshgrid(axis - 0.5, axis)
    return x, y


def smooth_noise(rng: np.random.Generator, across: float, along: float, angle: float = 0.0) -> Array:
    """Unit-variance Gaussian field with correlation lengths in sides, elongated along ``angle``."""
    size = RESOLUTION
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    u, v = fx * np.cos(angle) + fy * np.sin(angle), -fx * np.sin(angle) + fy * np.cos(angle)
    shape = np.exp(-2 * (np.pi * size) ** 2 * ((u * along) ** 2 + (v * across) ** 2) / 4)
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * shape
    noise = np.fft.irfft2(spectrum, (size, size))
    return np.asarray(noise / (noise.std() + 1e-12))


def texture(rng: np.random.Generator) -> Array:
    """Echo texture of one tissue, dB: homogeneous, lobular, or fibrous like muscle."""
    kind = rng.choice(["homogeneous", "lobular", "fibrous"], p=[0.35, 0.3, 0.35])
    if kind == "homogeneous":
        return smooth_noise(rng, 0.2, 0.2) * rng.uniform(0, 2)
    if kind == "lobular":
        return smooth_noise(rng, rng.uniform(0.015, 0.08), rng.uniform(0.02, 0.12)) * rng.uniform(1.5, 5)
    fibres = smooth_noise(rng, rng.uniform(0.006, 0.02), rng.uniform(0.08, 0.35), rng.uniform(-0.45, 0.45))
    return np.asarray(np.maximum(fibres, -1.5) * rng.uniform(2, 6))


def layered(rng: np.random.Generator, y: Array) -> tuple[Array, int]:
    """Layered tissue of varying echogenicity with bright fascia on some of the boundaries."""
    count = int(rng.integers(1, 6))
    warp = smooth_noise(rng, 0.3, 0.3) * rng.uniform(0.005, 0.04)
    tilt = rng.uniform(-0.25, 0.25) * coordinates()[0]
    level = y + warp + tilt
    bounds = np.sort(rng.uniform(0.05, 1.0, count - 1))
    image = rng.uniform(-8, 4) + texture(rng)
    for bound in bounds:
        image = np.where(level > bound, rng.uniform(-16, 5) + texture(rng), image)
    for bound in bounds[rng.random(bounds.size) < 0.6]:
        thickness = rng.uniform(0.003, 0.012)
        patchy = 1 + 0.3 * smooth_noise(rng, 0.05, 0.2)
        image = np.maximum(image, rng.uniform(4, 16) * patchy - 20 * ((level - bound) / thickness) ** 2)
    return image, count


def _cysts(rng: np.random.Generator, image: Array, x: Array, y: Array) -> tuple[Array, int]:
    """Anechoic, hypoechoic and hyperechoic ellipses, sharp or soft, some with posterior enhancement."""
    count = int(rng.integers(0, 6))
    for _ in range(count):
        cx, cy = rng.uniform(-0.48, 0.48), rng.uniform(0.05, 0.95)
        a = np.exp(rng.uniform(np.log(0.02), np.log(0.2)))
        b, angle = a * rng.uniform(0.5, 1.0), rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
        radius = np.hypot(u / a, v / b) * (1 + 0.06 * smooth_noise(rng, 0.1, 0.1))
        inside = 1 / (1 + np.exp(np.clip((radius - 1) * a / rng.choice([0.002, 0.006, 0.02]), -40, 40)))
        kind = rng.choice(["anechoic", "hypo", "hyper"], p=[0.4, 0.3, 0.3])
        level = {"anechoic": FLOOR_DB, "hypo": rng.uniform(-18, -5), "hyper": rng.uniform(4, 14)}[str(kind)]
        base = np.full_like(image, level) if kind == "anechoic" else image * 0.5 + level
        image = image * (1 - inside) + base * inside
        if kind == "anechoic" and rng.random() < 0.6:
            behind = (y > cy) * np.exp(-(((x - cx) / (0.8 * a)) ** 4))
            image = image + rng.uniform(1, 5) * behind * (1 - inside)
    return image, count


def _shadows(rng: np.random.Generator, image: Array, x: Array, y: Array) -> tuple[Array, int]:
    """Strong reflectors (bone, calcification, gas) that darken everything beneath them."""
    count = int(rng.choice([0, 1, 2], p=[0.6, 0.3, 0.1]))
    for _ in range(count):
        cx, top, half = rng.uniform(-0.5, 0.5), rng.uniform(0.15, 0.85), rng.uniform(0.02, 0.2)
        surface = top + rng.uniform(-0.3, 0.5) * (x - cx) ** 2 / half
        lateral = 1 / (1 + np.exp(np.clip((np.abs(x - cx) - half) / 0.01, -40, 40)))
        below = np.clip((y - surface) / 0.01, 0, 1)
        image = image - rng.uniform(8, 45) * lateral * below
        ridge = rng.uniform(8, 20) - 25 * ((y - surface) / rng.uniform(0.006, 0.015)) ** 2
        image = np.where(lateral > 0.5, np.maximum(image, ridge), image)
    return image, count


def _vessels(rng: np.random.Generator, image: Array, x: Array, y: Array) -> tuple[Array, list[Vessel]]:
    """Up to two vessels with bright walls and dark blood."""
    vessels = []
    for _ in range(int(rng.choice([0, 1, 2], p=[0.45, 0.4, 0.15]))):
        vessel = Vessel(
            x=rng.uniform(-0.4, 0.4),
            y=rng.uniform(0.15, 0.85),
            radius=rng.uniform(0.025, 0.14),
            tilt=None if rng.random() < 0.5 else rng.uniform(-0.35, 0.35),
            pulse=rng.uniform(0.02, 0.25),
            speed=rng.uniform(0.1, 1.5),
            blood_db=rng.uniform(-45, -22),
        )
        rho = vessel.distance(x, y)
        wall = rng.uniform(0, 10) - 20 * ((rho - vessel.radius) / rng.uniform(0.004, 0.012)) ** 2
        image = np.where(rho < vessel.radius, vessel.blood_db, np.maximum(image, wall))
        vessels.append(vessel)
    return image, vessels


def _wires(rng: np.random.Generator) -> Array:
    """Isolated point targets and short specular sheets (dense rows of points), columns x, y, dB."""
    rows = [(rng.uniform(-0.5, 0.5), rng.uniform(0.02, 1.0), rng.uniform(12, 34)) for _ in range(rng.poisson(1.5))]
    for _ in range(rng.poisson(0.8)):
        n = int(rng.integers(30, 250))
        s = np.linspace(0, 1, n)
        x = rng.uniform(-0.5, 0.2) + s * n / 600
        y = rng.uniform(0.05, 0.95) + rng.uniform(-0.2, 0.2) * (x - x[0]) + rng.uniform(-0.3, 0.3) * (x - x.mean()) ** 2
        strength = rng.uniform(-14, 4) + 3 * np.sin(2 * np.pi * (s * rng.uniform(0, 4) + rng.random()))
        rows += list(zip(x, y, strength, strict=True))
    return np.array(rows, np.float64).reshape(-1, 3)


def random_scene(rng: np.random.Generator) -> Scene:
    """Layered tissue with cysts, wires, vessels and shadows, all random."""
    x, y = coordinates()
    image, layers = layered(rng, y)
    image, cysts = _cysts(rng, image, x, y)
    image, vessels = _vessels(rng, image, x, y)
    image, shadows = _shadows(rng, image, x, y)
    wires = _wires(rng)
    return Scene(
        echogenicity_db=np.clip(image, FLOOR_DB, 30).astype(np.float32),
        wires=wires,
        vessels=vessels,
        drift=(float(rng.uniform(-0.01, 0.01)), float(rng.uniform(-0.01, 0.01))),
        heart_rate=float(rng.uniform(0.8, 2.0)),
        parameters={
            "layers": layers,
            "cysts": cysts,
            "shadows": shadows,
            "vessels": len(vessels),
            "points": len(wires),
        },
    )
