"""A blinded reader study: people score what several engines found, without knowing which engine found it."""
