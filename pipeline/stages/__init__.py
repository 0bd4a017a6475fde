"""The stages: one module per rule; its function of that name reads tables, calls the package and writes tables."""

STAGES = {
    "train": "Train a network of the study and write its weights with a model card.",
    "identify": "Hash the files of every network, once.",
    "sample": "Take the images of the study from its dataset.",
    "intervene": "Render every image again with one concept changed: the truth.",
    "predict": "Run every network on images and interventions.",
    "saliency": "Explain each image by the maps of every method.",
    "score": "Score every row: what is right, what an intervention changes.",
    "score_saliency": "Score the maps of a classifier.",
    "metrics": "Summarise scores with intervals.",
    "report": "Write the page.",
}
