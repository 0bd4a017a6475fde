"""The stages: one module per rule; its function of that name reads tables, calls the package and writes tables."""

STAGES = {
    "train": "Train a network of the study and write its weights with a model card.",
    "train_generator": "Train a diffusion model of the study and write its weights and images that it draws.",
    "train_guide": "Train a classifier of noised images and write its weights with a model card.",
    "train_infill": "Train an in-filler and write its weights with a model card.",
    "gate": "Hold images of a trained diffusion model against its training images, for its model card.",
    "identify": "Hash the files of every network, once.",
    "sample": "Take the images of the study from its dataset.",
    "intervene": "Render every image again with one concept changed: the truth.",
    "predict": "Run every network on images and interventions.",
    "saliency": "Explain each image by the maps of every method.",
    "counterfactuals": "Change each image until the classifier decides for another class, by every method.",
    "judge": "Ask the networks that judge what they see in the counterfactuals.",
    "score": "Score every row: what is right, what an intervention changes.",
    "score_saliency": "Score the maps of a classifier.",
    "score_counterfactuals": "Score the counterfactuals of a classifier, beside their controls.",
    "metrics": "Summarise scores with intervals.",
    "report": "Write the page.",
}
