"""The contenders: the stores, the limit, and the tutorial's three ways."""
