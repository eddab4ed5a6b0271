"""The Pose Vector Database: find the captured poses that are most like estimated ones.

`geometry` turns windows of poses into vectors and moves what was found to where the query is;
`index` (in this process) or `milvus` finds the nearest vectors of other people. NumPy arrays and
torch tensors both do. See docs/pvd.md for ten lines that do all of it.
"""
