"""The general network: any skeleton in 2D or 3D, with weights that come with the package."""
