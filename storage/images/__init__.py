"""The user's own image files: folders of them, their headers, and their pixels."""
