"""Pictures and words as numbers: the small codes for a CPU; Wan's are in aim_policy.wan."""
