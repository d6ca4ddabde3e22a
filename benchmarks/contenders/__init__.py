"""The contenders: the stores, the limit, the tutorial's three ways, a folder as it is, and peers."""
