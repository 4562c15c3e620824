"""Charts, in altair: each function draws one frame and computes nothing."""
