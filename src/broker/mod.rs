//! The doorbell that wakes workers: RabbitMQ, or in-process.
