"""Similarity: does an encoder of images, or of faces, still see the same thing?"""

import numpy as np

SAME_FACE = 0.5


def feature_similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine (N,) in [-1, 1] of the features (N, D) of images and of their counterfactuals; 0 where one is all zeros.

    With a SimSiam encoder and its projector this is S3, with a VGGFace2 encoder FS (Jeanneret et al. 2023).
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"features {first.shape} and {second.shape}; give the same shapes")
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(1) / np.where(lengths > 0, lengths, 1.0)


def same_face(similarity: np.ndarray, threshold: float = SAME_FACE) -> np.ndarray:
    """1 where the similarity (N,) of two faces is above the threshold, else 0; its mean is FVA.

    Jeanneret et al. 2022 count only counterfactuals that flip the classifier; choose the rows accordingly.
    """
    return (np.asarray(similarity) > threshold).astype(np.float64)
