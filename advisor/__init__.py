"""The advisor: a local language model that drafts over facts which the engine has worked out."""
