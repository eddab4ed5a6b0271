"""The Pose Vector Database: find the captured poses that are most like estimated ones.

`embed` turns windows of poses into vectors, `NeighbourIndex` (in this process) or `PoseStore` (in
Milvus) finds the nearest ones of other people, `bring_into_frame` moves what was found to where the
query is. NumPy arrays and torch tensors both do. See docs/pvd.md for ten lines that do all of it.
"""

from poise_retrieval.errors import (
    CollectionError,
    ImportFailedError,
    RefusedError,
    RetrievalError,
    SkeletonError,
    StoreUnavailableError,
    SubjectRuleError,
    VectorError,
)
from poise_retrieval.geometry.align import Similarity, align, similarity
from poise_retrieval.geometry.embedding import EMBEDDING_VERSION, embed, embedding_width, key_frames
from poise_retrieval.geometry.framing import bring_into_frame
from poise_retrieval.geometry.skeletons import SKELETONS, TEMPLATE_2D, TEMPLATE_3D, Skeleton
from poise_retrieval.index.neighbour_index import EXACT_ROWS, NeighbourIndex
from poise_retrieval.milvus.server import EmbeddedMilvus
from poise_retrieval.milvus.standalone import StandaloneMilvus
from poise_retrieval.milvus.store import PoseStore
from poise_retrieval.neighbours import Neighbours

__all__ = [
    "EMBEDDING_VERSION",
    "EXACT_ROWS",
    "SKELETONS",
    "TEMPLATE_2D",
    "TEMPLATE_3D",
    "CollectionError",
    "EmbeddedMilvus",
    "ImportFailedError",
    "NeighbourIndex",
    "Neighbours",
    "PoseStore",
    "RefusedError",
    "RetrievalError",
    "Similarity",
    "Skeleton",
    "SkeletonError",
    "StandaloneMilvus",
    "StoreUnavailableError",
    "SubjectRuleError",
    "VectorError",
    "align",
    "bring_into_frame",
    "embed",
    "embedding_width",
    "key_frames",
    "similarity",
]
