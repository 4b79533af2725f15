"""Pictures of what was found and how."""
