"""The published networks behind the published metrics, from local files in their official formats."""
