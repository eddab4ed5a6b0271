"""The Pose Vector Database: skeletons, alignment, embedding, Milvus store, neighbour search."""

from poise_retrieval.align import Similarity, align, similarity
from poise_retrieval.embedding import embed, embedding_width, key_frames
from poise_retrieval.errors import (
    CollectionError,
    RefusedError,
    RetrievalError,
    SkeletonError,
    StoreUnavailableError,
    SubjectRuleError,
    VectorError,
)
from poise_retrieval.index import EXACT_ROWS, NeighbourIndex
from poise_retrieval.neighbours import Neighbours
from poise_retrieval.server import EmbeddedMilvus
from poise_retrieval.skeletons import SKELETONS, TEMPLATE_2D, TEMPLATE_3D, Skeleton
from poise_retrieval.store import PoseStore

__all__ = [
    "EXACT_ROWS",
    "SKELETONS",
    "TEMPLATE_2D",
    "TEMPLATE_3D",
    "CollectionError",
    "EmbeddedMilvus",
    "NeighbourIndex",
    "Neighbours",
    "PoseStore",
    "RefusedError",
    "RetrievalError",
    "Similarity",
    "Skeleton",
    "SkeletonError",
    "StoreUnavailableError",
    "SubjectRuleError",
    "VectorError",
    "align",
    "embed",
    "embedding_width",
    "key_frames",
    "similarity",
]
