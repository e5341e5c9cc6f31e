//! GetChangedSince: a copy built from it alone equals the registry.
