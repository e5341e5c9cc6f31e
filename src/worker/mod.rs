//! Takes a task, processes it, turns the verdict into ack, retry or parking.
