"""A company's own tables as the contract's: `profile.yaml`, what it does, and how a first one is proposed."""
