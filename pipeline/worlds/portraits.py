"""Portraits: cartoon faces drawn from seven concepts, with every other choice kept apart as nuisance.

A face is a stack of layers (background, hair, neck, face, beard, mouth, ...), each a colour and an anti-aliased
coverage. Coverages depend on nuisance alone, colours and presence on concepts alone: an intervention changes nothing
else, and costs one re-composition. Lengths are in image sides; the origin is the centre of the face, v points down.
"""

from functools import lru_cache
from itertools import product

import numpy as np

from pipeline.worlds import Concept, Scene, World, changed_pixels, raster

ABSENT_PRESENT = ("absent", "present")
CONCEPTS = (
    *(Concept(name, ABSENT_PRESENT) for name in ("smile", "glasses", "hat", "beard")),
    Concept("hair", ("black", "red", "blond", "white")),
    Concept("skin", ("pale", "tan", "brown", "dark")),
    Concept("background", ("blue", "green", "yellow", "pink")),
)
HAIR = ((30, 27, 34), (190, 72, 28), (246, 206, 76), (226, 226, 232))
SKIN = ((255, 222, 196), (228, 172, 128), (160, 104, 70), (100, 62, 48))
BACKGROUND = ((122, 178, 232), (132, 204, 146), (240, 216, 128), (236, 158, 186))
LOOK = ("smile", "glasses", "hat")
LOOK_CLASSES = tuple(
    " and ".join(name for name, present in zip(LOOK, values, strict=True) if present) or "plain"
    for values in product((0, 1), repeat=3)
)

NUISANCE = {  # uniform ranges
    "shift_x": (-0.05, 0.05),  # image sides
    "shift_y": (-0.03, 0.04),
    "scale": (0.9, 1.08),
    "tilt": (-0.16, 0.16),  # radians
    "brightness": (0.88, 1.08),
    "light_angle": (-np.pi, np.pi),
    "light_strength": (0.0, 0.14),  # relative brightness from centre to edge
    "texture_phase": (0.0, 2 * np.pi),
    "texture_angle": (0.0, np.pi),
    "texture_strength": (0.0, 0.012),  # of the full brightness range
}

SHIRT = (92, 104, 128)
LINE = (52, 34, 36)
EYE_WHITE = (252, 252, 252)
MOUTH, TEETH = (168, 34, 54), (255, 255, 255)
FRAME, LENS = (24, 24, 34), (226, 240, 255)
HAT, BAND = (92, 58, 158), (250, 236, 178)
LENS_OPACITY = 0.4
HAIR_SHADE, NECK_SHADE, EAR_SHADE, NOSE_SHADE = (np.float32(shade) for shade in (0.92, 0.86, 0.92, 0.72))


def nuisance(generator: np.random.Generator) -> dict[str, float]:
    """Draw position, scale, tilt, light and texture from their uniform ranges."""
    return {name: float(generator.uniform(low, high)) for name, (low, high) in NUISANCE.items()}


def render(scene: Scene, size: int = 64) -> np.ndarray:
    """Draw a portrait, uint8 (size, size, 3), size from 32 to 256: layers laid over each other from back to front."""
    coverages, light, texture = _geometry(tuple(scene.nuisance.items()), size)
    hair, skin, background = (
        np.array(colours[scene.concepts[name]], np.float32)
        for name, colours in (("hair", HAIR), ("skin", SKIN), ("background", BACKGROUND))
    )
    image = np.empty((size, size, 3), np.float32)
    image[:] = background

    def lay(name: str, colour: np.ndarray | tuple[int, int, int], opacity: float = 1.0) -> None:
        raster.paint(image, colour, coverages[name] if opacity == 1 else np.float32(opacity) * coverages[name])

    lay("hair", HAIR_SHADE * hair)
    lay("shoulders", SHIRT)
    lay("neck", NECK_SHADE * skin)
    lay("ears", EAR_SHADE * skin)
    lay("face", skin)
    if scene.concepts["beard"]:
        lay("beard", HAIR_SHADE * hair)
    if scene.concepts["smile"]:
        lay("smile", MOUTH)
        lay("teeth", TEETH)
    else:
        lay("serious", MOUTH)
    lay("nose", NOSE_SHADE * skin)
    lay("eyes", EYE_WHITE)
    lay("pupils", LINE)
    lay("fringe", hair)
    lay("brows", LINE)
    if scene.concepts["glasses"]:
        lay("lenses", LENS, LENS_OPACITY)
        lay("frames", FRAME)
    if scene.concepts["hat"]:
        lay("hat", HAT)
        lay("band", BAND)
    return raster.to_uint8(image * light + texture)


def parts(scene: Scene, size: int = 64) -> dict[str, np.ndarray]:
    """Mark, for each concept, the pixels (size, size) that changing it to any other value changes."""
    return changed_pixels(render, CONCEPTS, scene, size)


def caption(scene: Scene) -> str:
    """Name every concept in one sentence."""
    value = {concept.name: concept.values[scene.concepts[concept.name]] for concept in CONCEPTS}
    wears = [f"{'a' if value[name] == 'present' else 'no'} {name}" for name in ("hat", "beard")]
    glasses = "glasses" if value["glasses"] == "present" else "no glasses"
    face = "a smiling" if value["smile"] == "present" else "a serious"
    return (
        f"{face} face with {value['skin']} skin, {value['hair']} hair, {glasses}, {wears[0]} and {wears[1]}, "
        f"{value['background']} background"
    )


def labels(concepts: dict[str, int]) -> dict[str, int]:
    """Label of every task: each concept, and `look` (smile x glasses x hat, 8 classes)."""
    smile, glasses, hat = (concepts[name] for name in LOOK)
    return {**concepts, "look": 4 * smile + 2 * glasses + hat}


@lru_cache(maxsize=4)
def _geometry(
    nuisance: tuple[tuple[str, float], ...], size: int
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Coverage (size, size) of every layer; light as a factor and texture as an offset, both (size, size, 1)."""
    choice = {name: np.float32(value) for name, value in nuisance}
    x, y = raster.pixel_grid(size)
    x, y = x - np.float32(0.5), y - np.float32(0.5)
    moved_x = (x - choice["shift_x"]) / choice["scale"] + 0 * y
    moved_y = (y - np.float32(0.05) - choice["shift_y"]) / choice["scale"] + 0 * x
    cosine, sine = np.cos(choice["tilt"]), np.sin(choice["tilt"])
    u, v = moved_x * cosine + moved_y * sine, moved_y * cosine - moved_x * sine
    distances = {**_body(moved_x, moved_y), **_head(u, v), **_features(u, v), **_worn(u, v)}
    pixels = choice["scale"] * np.float32(size)
    coverages = {name: raster.coverage(distance * pixels) for name, distance in distances.items()}
    towards_light = x * np.cos(choice["light_angle"]) + y * np.sin(choice["light_angle"])
    light = choice["brightness"] * (1 + 2 * choice["light_strength"] * towards_light)
    cosine, sine = np.cos(choice["texture_angle"]), np.sin(choice["texture_angle"])
    waves = np.sin(50 * (x * cosine + y * sine) + choice["texture_phase"]) * np.cos(34 * (y * cosine - x * sine))
    return coverages, light[..., None], (255 * choice["texture_strength"] * waves)[..., None]


def _body(u: np.ndarray, v: np.ndarray) -> dict[str, np.ndarray]:
    """Signed distances, in image sides, of what stays upright when the head tilts."""
    return {
        "shoulders": raster.ellipse(u, v, 0, 0.56, 0.36, 0.245),
        "neck": raster.box(u, v, 0, 0.27, 0.085, 0.11, 0.05),
    }


def _head(u: np.ndarray, v: np.ndarray) -> dict[str, np.ndarray]:
    both = np.abs(u)  # a face is symmetric: a shape at positive u stands on both sides
    scalp = raster.ellipse(u, v, 0, -0.045, 0.24, 0.265)
    lower_face = np.maximum(raster.ellipse(u, v, 0, 0.02, 0.222, 0.282), 0.03 - v)
    cheeks = raster.ellipse(u, v, 0, -0.01, 0.165, 0.18)
    around_mouth = raster.ellipse(u, v, 0, 0.146, 0.118, 0.056)
    strands = raster.box(u, v, 0, 0.02, 0.262, 0.13, 0.07)
    return {
        "hair": np.minimum(raster.ellipse(u, v, 0, -0.06, 0.27, 0.27), strands),
        "ears": raster.ellipse(both, v, 0.215, 0.0, 0.036, 0.052),
        "face": raster.ellipse(u, v, 0, 0, 0.215, 0.265),
        "beard": np.maximum(np.maximum(lower_face, -cheeks), -around_mouth),
        "fringe": np.maximum(scalp, -raster.ellipse(u, v, 0.02, 0.1, 0.208, 0.245)),
    }


def _features(u: np.ndarray, v: np.ndarray) -> dict[str, np.ndarray]:
    both = np.abs(u)
    smile = np.maximum(raster.ellipse(u, v, 0, 0.112, 0.096, 0.082), 0.112 - v)
    return {
        "serious": raster.capsule(u, v, -0.062, 0.146, 0.062, 0.146, 0.0125),
        "smile": smile,
        "teeth": np.maximum(smile + 0.011, v - 0.146),
        "nose": raster.capsule(u, v, 0.0, 0.02, 0.018, 0.068, 0.009),
        "eyes": raster.ellipse(both, v, 0.09, -0.02, 0.042, 0.036),
        "pupils": raster.ellipse(both, v, 0.088, -0.018, 0.021, 0.024),
        "brows": raster.capsule(both, v, 0.05, -0.094, 0.125, -0.1, 0.011),
    }


def _worn(u: np.ndarray, v: np.ndarray) -> dict[str, np.ndarray]:
    both = np.abs(u)
    lenses = raster.ellipse(both, v, 0.094, -0.02, 0.07, 0.064)
    bridge = raster.capsule(u, v, -0.03, -0.032, 0.03, -0.032, 0.011)
    temples = raster.capsule(both, v, 0.16, -0.034, 0.225, -0.044, 0.011)
    crown = raster.box(u, v, 0, -0.3, 0.185, 0.115, 0.05)
    return {
        "lenses": lenses,
        "frames": np.minimum(np.minimum(np.abs(lenses) - 0.012, bridge), temples),
        "hat": np.minimum(crown, raster.box(u, v, 0, -0.178, 0.3, 0.026, 0.02)),
        "band": np.maximum(raster.box(u, v, 0, -0.228, 0.185, 0.026), crown),
    }


WORLD = World(
    name="portraits",
    concepts=CONCEPTS,
    tasks={**{concept.name: concept.values for concept in CONCEPTS}, "look": LOOK_CLASSES},
    nuisance=nuisance,
    render=render,
    parts=parts,
    caption=caption,
    labels=labels,
)
