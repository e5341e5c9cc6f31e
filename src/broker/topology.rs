//! Names and shapes of exchanges and queues in RabbitMQ, and the one function that declares them.
//!
//! Queues get the fewest arguments that must stand in a declaration; everything else
//! (delivery limit, dead-letter exchange, overflow) belongs in a policy, because declaring a
//! queue again with other arguments is refused by the broker.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, ExchangeKind, Result};

use crate::broker::PARTITIONS;

/// Names under one prefix, so that several installations share a virtual host.
#[derive(Clone, Debug)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// Names that begin with `prefix` and a dot.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The direct exchange that rings are published to.
    pub fn exchange(&self) -> ShortString {
        format!("{}.work", self.prefix).into()
    }

    /// The exchange for messages that nobody understands.
    pub fn dead_exchange(&self) -> ShortString {
        format!("{}.dlx", self.prefix).into()
    }

    /// The queue behind [`Names::dead_exchange`]; not empty means trouble.
    pub fn dead_queue(&self) -> ShortString {
        format!("{}.dlq", self.prefix).into()
    }

    /// The queue of a partition, and its routing key.
    pub fn queue(&self, partition: u16) -> ShortString {
        format!("{}.ingest.p{partition:02}", self.prefix).into()
    }
}

/// Declares everything; changes nothing that is there already.
///
/// # Errors
/// When the broker is away, forbids it, or has a queue of that name with other arguments.
pub async fn declare(channel: &Channel, names: &Names) -> Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    for (name, kind) in
        [(names.exchange(), ExchangeKind::Direct), (names.dead_exchange(), ExchangeKind::Fanout)]
    {
        channel.exchange_declare(name, kind, durable, FieldTable::default()).await?;
    }
    let none = ShortString::from("");
    declare_queue(channel, names.dead_queue(), false).await?;
    bind(channel, names.dead_queue(), names.dead_exchange(), none).await?;
    for partition in 0..PARTITIONS {
        let queue = names.queue(partition);
        declare_queue(channel, queue.clone(), true).await?;
        bind(channel, queue.clone(), names.exchange(), queue).await?;
    }
    Ok(())
}

async fn declare_queue(channel: &Channel, name: ShortString, one_consumer: bool) -> Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(LongString::from("quorum")));
    if one_consumer {
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    }
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name, options, arguments).await?;
    Ok(())
}

async fn bind(
    channel: &Channel,
    queue: ShortString,
    exchange: ShortString,
    key: ShortString,
) -> Result<()> {
    channel
        .queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default())
        .await
}
