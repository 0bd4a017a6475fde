"""Render every image again with one concept changed: the truth that explanations are scored against."""

from pathlib import Path

from pipeline.images import content, image_struct
from pipeline.progress import bar
from pipeline.stages.common import job, provenance, read_options
from pipeline.tables import TableWriter, read_table, row_id
from pipeline.worlds import Scene, World, load_world
from pipeline.worlds import intervene as change


def intervene(options: str, code: str, images: Path, interventions: Path) -> None:
    """Write one row per image, concept and other value of that concept."""
    chosen = read_options("intervene", options)
    world = load_world(chosen.world)
    with job("intervene", chosen.study, interventions) as account:
        rows = read_table(images, "images", ["image_id", "status", "concepts", "nuisance"]).to_pylist()
        told = provenance("intervene", chosen, code, {"images": [images]})
        with TableWriter(interventions, "interventions", told) as table, bar("intervene", len(rows)) as progress:
            for row in rows:
                if row["status"] == "ok":
                    scene = Scene(dict(row["concepts"]), dict(row["nuisance"]))
                    with account.clock("compute"):
                        changed = changed_images(world, row["image_id"], scene, chosen.size)
                    with account.clock("tables"):
                        table.extend(changed)
                progress.advance(1)
        account.rows = account.rows_computed = table.rows


def changed_images(world: World, image_id: str, scene: Scene, size: int) -> list[dict]:
    """The rows of one image, in the order of the world's concepts and their values."""
    rows = []
    for concept in world.concepts:
        original = scene.concepts[concept.name]
        for value, value_name in enumerate(concept.values):
            if value == original:
                continue
            image = world.render(change(world, scene, concept.name, value), size)
            name = row_id(image_id, f"{concept.name}={value_name}")
            rows.append(
                {
                    "row_id": name,
                    "image_id": image_id,
                    "status": "ok",
                    "concept": concept.name,
                    "value": value,
                    "value_name": value_name,
                    "original": original,
                    "image": image_struct(image, f"{name}.png"),
                    "content": content(image),
                }
            )
    return rows
