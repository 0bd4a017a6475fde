"""How fast worlds are drawn: images per second on one core, with and without their part masks.

python -m benchmarks.worlds
"""

import time

from pipeline.worlds import WORLDS, draw_scene, load_world

ROWS, SIZES = 300, (32, 64, 128)


def main() -> None:
    for name in WORLDS:
        world = load_world(name)
        scenes = [draw_scene(world, 0, f"benchmark-{index}") for index in range(ROWS)]
        for size in SIZES:
            rates = [rate(draw, scenes, size) for draw in (world.render, world.parts)]
            print(f"{name:10} {size:4} px  {rates[0]:7.0f} images/s  {rates[1]:7.0f} images with part masks/s")


def rate(draw, scenes, size: int) -> float:
    """Scenes per second of processor time."""
    start = time.process_time()
    for scene in scenes:
        draw(scene, size)
    return len(scenes) / (time.process_time() - start)


if __name__ == "__main__":
    main()
