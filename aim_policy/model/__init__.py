"""The AIM network: `aim_policy.model.aim` is the whole, the other modules its parts."""
