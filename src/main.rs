//! The `kontingent` binary.

fn main() {}
