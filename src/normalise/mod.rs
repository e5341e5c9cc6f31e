//! The region's rules, pure: one file a record kind, and identity matching.
