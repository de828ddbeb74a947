"""The control plane, outside /api/v1: how tests inspect and steer the sandbox."""
