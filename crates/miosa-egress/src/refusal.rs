//! What a sandbox is told when its request is refused.
