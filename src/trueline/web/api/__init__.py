"""The REST API, a file a subject; its description is at /api/docs."""
